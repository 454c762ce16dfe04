"""Every form in which boxes are written, to one; every fault with its place."""

import numpy as np
import pytest

from evpipe.errors import InputError, UsageError
from operators.learn.detector.box_files import prophesee, table, voc, yolo

OLD = [("ts", "<u8"), ("x", "<f4"), ("y", "<f4"), ("w", "<f4"), ("h", "<f4"), ("class_id", "u1"),
       ("confidence", "<f4"), ("track_id", "<u4")]  # fmt: skip
NEW = np.dtype({"names": ["t", "x", "y", "w", "h", "class_id", "track_id", "class_confidence"],
                "formats": ["<i8", "<f4", "<f4", "<f4", "<f4", "<u4", "<u4", "<f4"],
                "offsets": [0, 8, 12, 16, 20, 24, 28, 32], "itemsize": 40})  # fmt: skip


@pytest.mark.parametrize(("kind", "time"), [(OLD, "ts"), (NEW, "t")])
def test_both_forms_of_prophesee(tmp_path, kind, time) -> None:
    rows = np.zeros(2, kind)
    rows[time], rows["x"], rows["y"], rows["w"], rows["h"], rows["class_id"] = [5, 100_000], 1, 2, [3, 4], 5, [0, 1]
    np.save(tmp_path / "a_bbox.npy", rows)
    found = prophesee(tmp_path / "a_bbox.npy")
    assert found.t_us.dtype == np.int64
    assert (found.t_us - 250_000).tolist() == [-249_995, -150_000]
    assert found.corners.tolist() == [[1, 2, 4, 7], [1, 2, 5, 7]]
    assert found.labels.tolist() == ["0", "1"]
    assert found.numbered
    assert found.traffic


def test_arrays_of_something_else_are_refused(tmp_path) -> None:
    np.save(tmp_path / "a_bbox.npy", np.zeros(3, [("t", "i8"), ("x", "f4")]))
    with pytest.raises(InputError, match=r"boxes need fields t .* this array has t, x"):
        prophesee(tmp_path / "a_bbox.npy")
    np.save(tmp_path / "b_bbox.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(InputError, match="no whole numpy array"):
        prophesee(tmp_path / "b_bbox.npy")


def test_tables(tmp_path) -> None:
    """Columns in any order and case, spaces, an empty label for a moment without anything."""
    path = tmp_path / "boxes.csv"
    path.write_text(
        "﻿Recording, label, T_us, x, y, w, h, track\na.raw, car, 10, 1, 2, 3.5, 4, 7\nb.raw, dog, 20, 0, 0, 1, 1,\n"
        "a.raw, , 30, , , , ,\n"
    )
    found = table(path)
    assert set(found) == {"a.raw", "b.raw"}
    assert found["a.raw"].t_us.tolist() == [10, 30]
    assert found["a.raw"].labels.tolist() == ["car", ""]
    assert found["a.raw"].corners.tolist() == [[1, 2, 4.5, 6], [0, 0, 0, 0]]
    path.write_text("t_us,x,y,w,h,label\n1,2,3,4,5,cat\n")
    assert list(table(path)) == [""]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "t,x,y,w,h,label\n",
            "boxes.csv:1: the first line must name the columns t_us, x, y, w, h, label .* lacks t_us",
        ),
        ("t_us,x,y,w,h,label\n1.5,0,0,1,1,a\n", r"boxes.csv:2: t_us='1.5'.* whole number of us"),
        ("t_us,x,y,w,h,label\n1,0,0,1,1,a\n2,0,,1,1,a\n", "boxes.csv:3: .*numbers of px"),
        ("t_us,x,y,w,h,label\n1,0,0,1,1,a,b\n", "boxes.csv:2: more fields"),
    ],
)
def test_faults_of_tables(tmp_path, text, fault) -> None:
    (tmp_path / "boxes.csv").write_text(text)
    with pytest.raises(UsageError, match=fault):
        table(tmp_path / "boxes.csv")


def test_yolo(tmp_path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("0 0.5 0.5 0.5 0.25\n\n3 0.1 0.2 0.2 0.4\n")
    corners, labels = yolo(path, (200, 100))
    np.testing.assert_allclose(corners, [[25, 75, 75, 125], [0, 0, 20, 80]])
    assert labels == ["0", "3"]
    path.write_text("")
    assert yolo(path, (200, 100))[0].shape == (0, 4)
    path.write_text("0 1 2\n")
    with pytest.raises(UsageError, match=r"a.txt:1: '0 1 2'"):
        yolo(path, (200, 100))


def test_voc(tmp_path, shared) -> None:
    corners, labels = voc(shared / "data" / "pedro" / "xml" / "test" / "frame0000010.xml")
    assert corners.tolist() == [[58, 40, 138, 250]] or len(corners) == 1
    assert labels == ["person"]
    path = tmp_path / "a.xml"
    path.write_text("<annotation><object><name>x</name></object></annotation>")
    with pytest.raises(UsageError, match="no Pascal VOC file"):
        voc(path)
    path.write_text("<!DOCTYPE a [<!ENTITY b 'c'>]><annotation/>")
    with pytest.raises(UsageError, match="declares entities"):
        voc(path)

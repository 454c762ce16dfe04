"""Points as CSV and JSON: read back as written, told by content, faults with their place; a camera before them."""

import json

import numpy as np
import pytest

from evpipe.errors import InputError, UsageError
from evpipe.packets import Events
from sensors.motion.files import read
from sensors.motion.parts import PARTS
from sensors.simulated import SimulatedCamera
from tests.sensors.motion.people import film, person

WAVING = [person(heading=k, left_arm=90 + 60 * np.sin(k / 3)) for k in range(40)]


def as_json(path, names, positions, **others):
    path.write_text(json.dumps({"frame_s": 0.02, "joints": names, "positions": positions.tolist()} | others))
    return path


def as_csv(path, names, positions, frame_s=0.02):
    header = ",".join(["t", *(f"{name}.{axis}" for name in names for axis in "xyz")])
    table = np.column_stack([np.arange(len(positions)) * frame_s, positions.reshape(len(positions), -1)])
    path.write_text("\n".join([header, *(",".join(map(repr, row)) for row in table.tolist())]) + "\n")
    return path


def test_both_forms_hold_the_same_motion(tmp_path):
    """CSV and JSON of one motion, told by content, are equal, and in metres whatever unit they are in."""
    names, positions = film(WAVING)
    one = read(as_json(tmp_path / "a.dat", names, positions))
    other = read(as_csv(tmp_path / "b.dat", names, positions * 100))
    assert (one.notes, other.notes) == (("lengths are taken as metres",), ("lengths are taken as centimetres",))
    assert one.frame_s == pytest.approx(other.frame_s)
    np.testing.assert_allclose(one.positions, other.positions, atol=1e-9)
    np.testing.assert_allclose(one.turns, other.turns, atol=1e-9)
    wrist = one.positions[:, 1 + PARTS.index("wrist_l")]
    np.testing.assert_allclose(wrist, [pose["left wrist"] for pose in WAVING], atol=1e-12)


@pytest.mark.parametrize(("up", "order"), [("z", lambda x, y, z: (x, -z, y)), ("-y", lambda x, y, z: (x, -y, -z))])
def test_other_axes_are_turned_upright(tmp_path, up, order):
    """`up` says which axis is up in the file."""
    names, positions = film(WAVING)
    turned = np.stack(order(*np.moveaxis(positions, -1, 0)), -1)
    plain = read(as_json(tmp_path / "a.json", names, positions))
    found = read(as_json(tmp_path / "b.json", names, turned, up=up))
    np.testing.assert_allclose(found.positions, plain.positions, atol=1e-12)
    np.testing.assert_allclose(found.turns, plain.turns, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("t,a.x,a.y,b.z\n0,1,2,3\n", r":1: found 'b.z' where 'a.z' should stand: each joint has .x .y .z"),
        ("t,a.x,a.y\n0,1,2\n", r":1: found 'nothing' where 'a.z' should stand"),
        ("t,a.x,a.y,a.z\n0,1,2,3\n0.1,1,2\n", r":3: a row is 4 numbers; found '0.1,1,2'"),
        ("t,a.x,a.y,a.z\n0,1,2,3\n\n0.1,1,x,2\n", r":4: a row is 4 numbers; found '0.1,1,x,2'"),
        ("t,a.x,a.y,a.z\n0,1,2,inf\n", r":2: a row is 4 numbers"),
        ("t,a.x,a.y,a.z\n0,1,2,3\n0.1,1,2,3\n0.2,1,2,3\n0.4,1,2,3\n", r":5: t goes on by 0.2 s; all steps must be"),
        ("t,a.x,a.y,a.z\n1,1,2,3\n1,1,2,3\n", r":3: t goes on by 0 s"),
        ("t,a.x,a.y,a.z\n1,1,2,3\n", r"holds 1 frames; a motion has 2 or more"),
        ('{"frame_s": 0.1, "joints": ["a"]}', r"`positions`; points are \{frame_s, joints"),
        ('{"frame_s": 0.1, "joints": ["a"], "positions": [[[1, 2, 3]], []]}', r"positions\[1\]: 0 joints; there are 1"),
        ('{"frame_s": 0, "joints": ["a"], "positions": [[[1, 2, 3]], [[1, 2, 3]]]}', "frame_s is 0; it must be above"),
        ('{"frame_s": 1, "joints": [], "positions": [], "up": "x"}', r"Invalid enum value 'x'"),
        ('{"frame_s": 1, "joints": [], "positions": []}', r"holds 0 frames"),
        ('{"frame_s": 1, "joints": ["a"], "positions": [[[1, 2', "points are"),
        (
            '{"frame_s": 1, "joints": ["a"], "positions": [[[1, 2, 1e999]], [[1, 2, 3]]]}',
            r"points are|frame 0: a is at",
        ),
    ],
)
def test_faults_have_their_place(tmp_path, text, said):
    """Each fault is an InputError with the file and the line or the frame."""
    (tmp_path / "p").write_text(text)
    with pytest.raises(InputError, match=said) as raised:
        read(tmp_path / "p")
    assert str(raised.value).startswith(str(tmp_path / "p"))


def test_the_simulated_camera_films_a_motion(tmp_path):
    """`motion` puts the file's motion before the camera; actions and stillness beside it are refused."""
    path = as_csv(tmp_path / "wave.csv", *film(WAVING))
    columns = {}
    for name, motion in (("wave", str(path)), ("actions", "")):
        camera = SimulatedCamera(seed=3, size=(65, 87), duration_us=200_000, motion=motion)
        camera.open()
        found = [packet for packet in camera.stream() if isinstance(packet, Events)]
        columns[name] = np.concatenate([packet.t for packet in found])
        assert len(columns[name]) > 300
        assert camera.label_at(0) == "wave" if motion else camera.label_at(0) != "wave"
        assert camera.segments(200_000)[0][2] == camera.label_at(0)
    assert columns["wave"].tobytes() != columns["actions"].tobytes()
    with pytest.raises(UsageError, match="is done instead of actions; leave out action 'walking'"):
        SimulatedCamera(motion=str(path), action="walking")
    with pytest.raises(UsageError, match="condition 'static' is for actions, not for a motion"):
        SimulatedCamera(motion=str(path), condition="static")

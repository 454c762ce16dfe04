"""Boxes beside recordings: Prophesee's arrays, tables (CSV), YOLO and VOC files, all to one form.

Nothing here is unpickled.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evpipe.errors import InputError, UsageError

COLUMNS = ("t_us", "x", "y", "w", "h", "label")
GEN1 = ("car", "pedestrian")
MEGAPIXEL = ("pedestrian", "two-wheeler", "car")
"""Classes of Prophesee's two sets of traffic by their number; further numbers of the second are not evaluated."""


class BoxTable(NamedTuple):
    """n boxes of one recording as they are written: `t_us` int64 in the recording's clock, `corners` float64 [n, 4] (x1
    y1 x2 y2 in sensor px), `labels`: names, "" for a moment at which there is nothing. `numbered`: labels are numbers
    that stand for classes. `traffic`: from Prophesee's sets, whose own rules of cleaning apply."""

    t_us: NDArray[np.int64]
    corners: NDArray[np.float64]
    labels: NDArray[Any]
    numbered: bool = False
    traffic: bool = False


def prophesee(path: Path) -> BoxTable:
    """NAME_bbox.npy: rows with t (or ts), x, y, w, h and class_id, by the names of their fields."""
    try:
        rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no whole numpy array of boxes: {error}. Get it again.") from None
    names = set(rows.dtype.names or ())
    time = "t" if "t" in names else "ts"
    missing = [name for name in (time, "x", "y", "w", "h", "class_id") if name not in names]
    if missing or rows.ndim != 1:
        has = ", ".join(rows.dtype.names or ("none",))
        raise InputError(f"{path}: boxes need fields t (or ts), x, y, w, h and class_id; this array has {has}.")
    # Times are unsigned in some files: as they are, differences would wrap.
    t = rows[time].astype(np.int64)
    return BoxTable(t, _corners(*(rows[name] for name in "xywh")), rows["class_id"].astype("U"), True, True)


def table(path: Path) -> dict[str, BoxTable]:
    """A CSV file's boxes by recording ("" where it has no such column): t_us, x, y (top left), w, h, label.

    A row with an empty label says that at this moment there is nothing. Raises UsageError naming file and line.
    """
    found: dict[str, list[tuple[int, float, float, float, float, str]]] = {}
    for number, row in _rows(path):
        try:
            t, label = int(row["t_us"]), row["label"].strip()
            x, y, w, h = (float(row[name] or 0) if not label else float(row[name]) for name in "xywh")
        except ValueError:
            what = ", ".join(f"{name}={row[name]!r}" for name in COLUMNS)
            raise UsageError(
                f"{path}:{number}: {what}: t_us must be a whole number of us; x, y, w and h numbers of px"
            ) from None
        found.setdefault(row.get("recording", "").strip(), []).append((t, x, y, w, h, label))
    return {name: _table(rows) for name, rows in found.items()}


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Number and fields of every line below the header."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True, restval="")
            reader.fieldnames = [str(name).strip().lower() for name in reader.fieldnames or ()]
            if missing := [name for name in COLUMNS if name not in reader.fieldnames]:
                raise UsageError(
                    f"{path}:1: the first line must name the columns {', '.join(COLUMNS)} (and recording, track); "
                    f"it lacks {', '.join(missing)}"
                )
            for row in reader:
                if None in row:
                    raise UsageError(f"{path}:{reader.line_num}: more fields than the first line names")
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: cannot be read as a table: {error}") from None


def _table(rows: list[tuple[int, float, float, float, float, str]]) -> BoxTable:
    t, x, y, w, h, labels = zip(*rows, strict=True)
    return BoxTable(np.array(t, np.int64), _corners(x, y, w, h), np.array(labels, "U"))


def yolo(path: Path, size: tuple[int, int]) -> tuple[NDArray[np.float64], list[str]]:
    """Corners [n, 4] in px and class numbers of a YOLO text file; `size` [height, width] of the picture."""
    corners, labels = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            label, x, y, w, h = (float(word) for word in line.split()[:5])
            labels.append(str(int(label)))
        except ValueError:
            raise UsageError(
                f"{path}:{number}: {line!r} is no class number, x, y, w, h as shares of the picture"
            ) from None
        corners.append(((x - w / 2) * size[1], (y - h / 2) * size[0], (x + w / 2) * size[1], (y + h / 2) * size[0]))
    return np.array(corners, float).reshape(-1, 4), labels


def voc(path: Path) -> tuple[NDArray[np.float64], list[str]]:
    """Corners [n, 4] in px and class names of a Pascal VOC file."""
    import xml.etree.ElementTree as ET

    text = path.read_text(encoding="utf-8")
    if "<!ENTITY" in text:
        raise UsageError(f"{path}: declares entities, which no file of boxes needs")
    try:
        objects = ET.fromstring(text).findall("object")  # noqa: S314
        names = [str(each.findtext("name")) for each in objects]
        sides = ("xmin", "ymin", "xmax", "ymax")
        corners = [[float(str(each.findtext(f"bndbox/{side}"))) for side in sides] for each in objects]
    except (ET.ParseError, ValueError) as error:
        raise UsageError(f"{path}: no Pascal VOC file: {error}") from None
    return np.array(corners, float).reshape(-1, 4), names


def _corners(x: Any, y: Any, w: Any, h: Any) -> NDArray[np.float64]:
    left, top, width, height = (np.asarray(column, np.float64) for column in (x, y, w, h))
    return np.stack([left, top, left + width, top + height], -1)

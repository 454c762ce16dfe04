"""A recording opened by the rules of Metavision: what a name means, which errors, where time begins.

Every format that evpipe reads may stand where OpenEB takes a RAW file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evpipe.errors import InputError
from sensors.formats.reader import Reader

_RAW = (".raw", ".dat", ".hdf5", ".h5")
_OTHERS = (".aedat", ".aedat4", ".es", ".bin", ".bag", ".mcap", ".db3", ".npy", ".npz", ".csv", ".txt")
_AS_STORED = ("DAT", "HDF5-ECF", "HDF5-METAVISION")
_HIGH_STEP_US = {"EVT2": 64, "EVT2.1": 64, "EVT4": 64, "EVT3": 4096}


def open_recording(path: str) -> Reader:
    """The reader of a recording.

    Raises FileNotFoundError for a file that is missing, OSError for one that cannot be read and for a camera, of which
    there is none: the name is that of a camera if no such file exists and it has neither a folder nor a known suffix.
    """
    from sensors.formats.detect import open_reader

    if not os.path.exists(path):
        if os.path.splitext(path)[1].lower() in _RAW + _OTHERS or os.path.basename(path) != path:
            raise FileNotFoundError(f"{path}: no such file. Give the path of a recording.")
        raise OSError(
            f"Failed to open camera {path} ! sensors.metavision reads recordings. For a camera install OpenEB and set "
            "EVPIPE_METAVISION=openeb, or use `evpipe run`; for a recording correct the path."
        )
    try:
        reader = open_reader(path)
    except InputError as error:
        raise OSError(f"Incorrect raw input file : {path} ! {error}") from None
    if reader.format == "ES-GENERIC":
        reader.close()
        raise OSError(f"Incorrect raw input file : {path} ! It holds timed bytes without pixels. Name another.")
    return reader


def shift_of(reader: Reader) -> int:
    """What is taken from all times (us), so that a recording begins near 0.

    RAW: the first TIME_HIGH, for EVT3 the one before it (a decoder of OpenEB's starts there). Prophesee's DAT and HDF5:
    nothing. Formats that OpenEB does not read: the time of the first event.
    """
    if reader.format.startswith(_AS_STORED):
        return 0
    if step_us := _HIGH_STEP_US.get(reader.format):
        high = _first_high(reader)
        return max(high - (reader.format == "EVT3"), 0) * step_us
    for chunk in reader.chunks(frozenset({"events"})):
        return int(chunk.t[0])  # type: ignore[union-attr]
    return 0


def _first_high(reader: Reader) -> int:
    """The value of the first TIME_HIGH word of a RAW file; 0 if there is none."""
    for words in _type_words(reader):
        kinds = words >> (words.itemsize * 8 - 4)
        if reader.format == "EVT4":
            found = _first_high_evt4(kinds)
        else:
            found = int(np.argmax(kinds == 8)) if bool((kinds == 8).any()) else -1
        if found >= 0:
            return int(words[found]) & (0xFFF if words.itemsize == 2 else 0xFFFFFFF)
    return 0


def _first_high_evt4(kinds: NDArray[Any]) -> int:
    """The place of the first TIME_HIGH that is not the mask of a vector; -1 if there is none."""
    at = 0
    for place in np.flatnonzero((kinds == 0xC) | (kinds == 0xD) | (kinds == 0xE)).tolist():
        if place < at:
            continue
        if kinds[place] == 0xE:
            return place
        at = place + 2
    return -1


def _type_words(reader: Reader, block: int = 2**16) -> Iterator[NDArray[Any]]:
    """The words of a RAW file that carry a type, block by block (of EVT2.1 the upper halves)."""
    from sensors.formats.prophesee_header import read_header

    with open(reader.path, "rb") as file:
        _, start = read_header(file)
        file.seek(start)
        size = {"EVT3": 2, "EVT2.1": 8}.get(reader.format, 4)
        while data := file.read(block):
            whole = np.frombuffer(data, "<u2" if size == 2 else "<u4", len(data) // size * size // min(size, 4))
            if size == 8:
                whole = whole[0 if getattr(reader, "order", "little") == "legacy" else 1 :: 2]
            yield whole

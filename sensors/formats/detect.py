"""Which format a recording has: by its first bytes, then by its name; and the reader for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Literal

from evpipe.errors import InputError
from sensors.formats import atis_bin, dat, text
from sensors.formats.aedat2 import Aedat2Reader
from sensors.formats.aedat3 import Aedat3Reader
from sensors.formats.aedat4 import Aedat4Reader
from sensors.formats.atis_bin import AtisBinReader
from sensors.formats.dat import DatReader
from sensors.formats.es import EsReader
from sensors.formats.evt2 import Evt2Reader
from sensors.formats.evt3 import Evt3Reader
from sensors.formats.evt4 import Evt4Reader
from sensors.formats.evt21 import Evt21Reader
from sensors.formats.hdf5 import open_hdf5
from sensors.formats.numpy_arrays import ArraysReader
from sensors.formats.prophesee_header import encoding_of, geometry_of, read_header
from sensors.formats.reader import Reader
from sensors.formats.ros import RosReader
from sensors.formats.ros_containers import MCAP, MESSAGES
from sensors.formats.session import open_mcap
from sensors.formats.text import TextReader

Encoding = Literal["evt2", "evt21", "evt3", "evt4"]

READS = (
    "evpipe reads Prophesee RAW (EVT2, EVT2.1, EVT3, EVT4) and DAT, AEDAT 2.0 (DVS128, DAVIS), AEDAT 3.1, AEDAT 4, "
    "Event Stream (.es), ATIS .bin (N-MNIST), HDF5 (Prophesee, DSEC), "
    "numpy .npy and .npz, text, and ROS bags (ROS 1, MCAP, .db3)"
)

# First bytes of formats that say their own geometry.
_READERS: tuple[tuple[bytes, Callable[[str, BinaryIO, tuple[int, int] | None], Reader]], ...] = (
    (b"#!AER-DAT4.0", Aedat4Reader),
    (b"#!AER-DAT3", Aedat3Reader),
    (b"#!AER-DAT2.0", Aedat2Reader),
    (b"Event Stream", EsReader),
    (b"\x89HDF\r\n\x1a\n", open_hdf5),
    (b"\x93NUMPY", ArraysReader),
    (b"PK\x03\x04", ArraysReader),
    *((start, open_mcap if start == MCAP else RosReader) for start in MESSAGES),
)

# First bytes of formats that are known but not read, and what to do.
_KNOWN = (
    (b"#!AER-DAT1", "an AEDAT 1.0 recording", "Save it anew with jAER, which writes AEDAT 2.0"),
    (b"\x1f\x8b", "a gzip archive", "Unpack it first"),
    (b"BZh", "a bzip2 archive", "Unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", "Unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "Unpack it first"),
    (b"version https://git-lfs", "a pointer of git LFS, not the recording", "Fetch the recording with `git lfs pull`"),
)


def open_reader(path: str, size: tuple[int, int] | None = None, encoding: Encoding | None = None) -> Reader:
    """Open a recording. `size` (height, width) overrides the file's; `encoding` is for RAW files without a header.

    Raises InputError when it is missing, empty, of a format not read, or its header cannot be understood.
    """
    if not os.path.exists(path):
        raise InputError(f"{path}: no such file{_neighbours(path)}. Give the path of a recording; {READS}.")
    if os.path.isdir(path):
        raise InputError(f"{path}: is a folder, not a recording. Name one file in it; {READS}.")
    if not os.path.isfile(path):
        raise InputError(f"{path}: is no ordinary file (a device, pipe or socket). Save the recording to a file first.")
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115 (the reader closes it)
    except OSError as error:
        raise InputError(f"{path}: cannot be opened: {error.strerror}. Check its permissions.") from None
    try:
        return _reader(path, file, (size[1], size[0]) if size else None, encoding)
    except BaseException:
        file.close()
        raise


def _reader(path: str, file: BinaryIO, size: tuple[int, int] | None, encoding: Encoding | None) -> Reader:
    try:
        head = file.read(64)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}. Name a recording.") from None
    if not head:
        raise InputError(f"{path}: is empty (0 bytes): nothing was recorded or the copy failed. Get a whole one.")
    for start, reader in _READERS:
        if head.startswith(start):
            return reader(path, file, size)
    if head.startswith(b"% "):
        return _prophesee(path, file, size)
    for start, what, remedy in _KNOWN:
        if head.startswith(start):
            raise InputError(f"{path}: is {what}, which evpipe does not read yet. {remedy}; {READS}.")
    if found := _unmarked(path, file, size, encoding, head):
        return found
    suffix = Path(path).suffix.lower()
    said = f"bytes {head[:8].hex(' ')}"
    if _is_text(head):
        said = f"text beginning with {head[:24].decode('utf-8', 'replace')!r}"
    named = f" (its name says {suffix})" if suffix else ""
    raise InputError(f"{path}: no format that evpipe knows: it begins with {said}{named}. {READS}.")


def _unmarked(
    path: str, file: BinaryIO, size: tuple[int, int] | None, encoding: Encoding | None, head: bytes
) -> Reader | None:
    """The reader of a file whose first bytes name no format: its name and its content must fit together."""
    suffix = Path(path).suffix.lower()
    if suffix == ".raw" and not _is_text(head):
        if encoding and size:
            return _raw(encoding, path, file, 0, size, {})
        raise InputError(
            f"{path}: is a .raw file without the header of Prophesee's recordings, so nothing says how its bytes are "
            "coded nor how large the sensor is. Give both: encoding: evt2, evt21, evt3 or evt4, and size: [height, "
            "width]."
        )
    if suffix == ".bin" and not _is_text(head) and atis_bin.looks_like(head + file.read(2**16)):
        return AtisBinReader(path, file, size)
    if suffix == ".dat" and dat.looks_like(head + file.read(2**16)):
        return DatReader(path, file, 0, {}, size)
    if _is_text(head) and (layout := text.look(file, suffix)):
        return TextReader(path, file, layout, size)
    return None


_CODES: dict[str, Encoding] = {"EVT2": "evt2", "EVT21": "evt21", "EVT3": "evt3", "EVT4": "evt4"}


def _raw(
    encoding: Encoding, path: str, file: BinaryIO, start: int, size: tuple[int, int], keys: dict[str, str]
) -> Reader:
    if encoding == "evt21":
        return Evt21Reader(path, file, start, size, keys)
    return {"evt2": Evt2Reader, "evt3": Evt3Reader, "evt4": Evt4Reader}[encoding](path, file, start, size)


def _prophesee(path: str, file: BinaryIO, size: tuple[int, int] | None) -> Reader:
    keys, start = read_header(file)
    is_raw = "format" in keys or "evt" in keys
    is_dat = any(key in keys for key in ("Data", "Version", "Width", "Height"))
    code = encoding_of(keys)
    if not is_raw and (is_dat or (code is None and Path(path).suffix.lower() == ".dat")):
        return DatReader(path, file, start, keys, size)
    if code not in _CODES:
        found = f"says {code}" if code else "says nothing of format, evt or a known system_ID"
        raise InputError(
            f"{path}: the header of this RAW file {found}; evpipe reads EVT2, EVT2.1, EVT3 and EVT4. Convert it."
        )
    size = size or geometry_of(keys, path)
    if size is None:
        raise InputError(
            f"{path}: the header of this {code} file does not say how large the sensor is (no geometry, no known "
            "system_ID). Give size: [height, width]."
        )
    return _raw(_CODES[code], path, file, start, size, keys)


def _is_text(head: bytes) -> bool:
    return all(byte in (9, 10, 13) or byte >= 32 for byte in head) and sum(byte < 128 for byte in head) > len(head) / 2


def _neighbours(path: str) -> str:
    """A hint at a file of a similar name beside it."""
    import difflib

    folder, name = os.path.split(path)
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return f" (nor is there a folder {folder!r})"
    close = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {os.path.join(folder, close[0])}?" if close else ""

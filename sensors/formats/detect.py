"""Which format a recording has: by its first bytes, then by its name; and the reader for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Literal

from evpipe.errors import InputError
from sensors.formats.aedat2 import Aedat2Reader
from sensors.formats.aedat3 import Aedat3Reader
from sensors.formats.aedat4 import Aedat4Reader
from sensors.formats.atis_bin import AtisBinReader, looks_like
from sensors.formats.es import EsReader
from sensors.formats.evt2 import Evt2Reader
from sensors.formats.evt3 import Evt3Reader
from sensors.formats.prophesee_header import encoding_of, geometry_of, read_header
from sensors.formats.reader import Reader

Encoding = Literal["evt2", "evt3"]

READS = (
    "evpipe reads Prophesee RAW (EVT2, EVT3), AEDAT 2.0 (DVS128, DAVIS), AEDAT 3.1, AEDAT 4, "
    "Event Stream (.es) and ATIS .bin (N-MNIST)"
)

# First bytes of formats that say their own geometry.
_READERS: tuple[tuple[bytes, Callable[[str, BinaryIO, tuple[int, int] | None], Reader]], ...] = (
    (b"#!AER-DAT4.0", Aedat4Reader),
    (b"#!AER-DAT3", Aedat3Reader),
    (b"#!AER-DAT2.0", Aedat2Reader),
    (b"Event Stream", EsReader),
)

# First bytes of formats that are known but not read, and what to do.
_KNOWN = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "Convert it to RAW or AEDAT4 first"),
    (b"#!AER-DAT1", "an AEDAT 1.0 recording", "Save it anew with jAER, which writes AEDAT 2.0"),
    (b"\x89MCAP0\r\n", "an MCAP file", "Convert its events to RAW or AEDAT4 first"),
    (b"#ROSBAG V", "a ROS bag", "Convert its events to RAW or AEDAT4 first"),
    (b"SQLite format 3\0", "a ROS 2 bag (SQLite)", "Convert its events to RAW or AEDAT4 first"),
    (b"\x93NUMPY", "a numpy array", "Convert it to AEDAT4 first"),
    (b"PK\x03\x04", "a zip archive (numpy .npz?)", "Unpack or convert it first"),
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
    suffix = Path(path).suffix.lower()
    if suffix == ".raw" and not _is_text(head):
        if encoding and size:
            return _RAW[encoding](path, file, 0, size)
        raise InputError(
            f"{path}: is a .raw file without the header of Prophesee's recordings, so nothing says how its bytes are "
            "coded nor how large the sensor is. Give both: encoding: evt2 or evt3, and size: [height, width]."
        )
    if suffix == ".bin" and not _is_text(head) and looks_like(head + file.read(2**16)):
        return AtisBinReader(path, file, size)
    found = f"bytes {head[:8].hex(' ')}"
    if _is_text(head):
        found = f"text beginning with {head[:24].decode('utf-8', 'replace')!r}"
    named = f" (its name says {suffix})" if suffix else ""
    raise InputError(f"{path}: no format that evpipe knows: it begins with {found}{named}. {READS}.")


_RAW: dict[str, type[Evt2Reader] | type[Evt3Reader]] = {"evt2": Evt2Reader, "evt3": Evt3Reader}


def _prophesee(path: str, file: BinaryIO, size: tuple[int, int] | None) -> Reader:
    keys, start = read_header(file)
    is_dat = any(key in keys for key in ("Data", "Version", "Width", "Height"))
    code = encoding_of(keys)
    if is_dat or (code is None and Path(path).suffix.lower() == ".dat"):
        raise InputError(f"{path}: is a Prophesee DAT file, not read yet. Convert it to RAW; {READS}.")
    if code not in ("EVT2", "EVT3"):
        found = f"says {code}" if code else "says nothing of format, evt or a known system_ID"
        raise InputError(f"{path}: the header of this RAW file {found}; evpipe reads EVT2 and EVT3. Convert it.")
    size = size or geometry_of(keys, path)
    if size is None:
        raise InputError(
            f"{path}: the header of this {code} file does not say how large the sensor is (no geometry, no known "
            "system_ID). Give size: [height, width]."
        )
    return _RAW[code.lower()](path, file, start, size)


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

"""AEDAT 3.1, the recordings of cAER and of DVS128 Gesture: a text header, then packets of one kind each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from evpipe.errors import InputError
from sensors.formats.file_reader import FileReader, Range
from sensors.formats.reader import IDLE, Chunk, Columns, Place, Window, outside_text

_MAX_HEADER_BYTES = 2**20
_END = b"#!END-HEADER\r\n"
_SIZES = {
    "DVS128": (128, 128),
    "DAVIS128": (128, 128),
    "DAVIS208": (208, 192),
    "DAVIS240": (240, 180),
    "DAVIS346": (346, 260),
    "DAVIS640": (640, 480),
}


class Aedat3Reader(FileReader):
    """Reads the polarity events of one source; frames, IMU samples and special events are counted, not read.

    Times are 31 bits and the packet's overflow count; the origin is at the top left.
    """

    format = "AEDAT3.1"
    follows = True

    def __init__(self, path: str, file: BinaryIO, size: tuple[int, int] | None = None) -> None:
        """`size` (width, height) overrides that of the source named in the header.

        Raises InputError for another version, compressed packets, a header without end, or a source not known.
        """
        header, self._start = _read_header(path, file)
        super().__init__(path, file)
        self.width, self.height = self._size = size or _size(path, header)

    def items(self, place: Place | None, wanted: frozenset[str] | None) -> Iterator[Chunk | Place]:
        """The events."""
        from sensors.kernels import aedat3

        account, start, state, first_outside = self.account, self._start, aedat3.new_state(), -1
        if place is not None:
            start, state[:] = place
        window = Window(self._file, start, max(self.block_bytes, 64), account, self.follow)
        columns = Columns(max(self.block_bytes, 64) // aedat3.POLARITY_BYTES)
        while not state[aedat3.REFUSED] and (more := window.fill()) is not False:
            if more is None:
                yield IDLE
                continue
            yield Place(window.offset, state)
            used, n = aedat3.decode(window.data, state, *self._size, columns.t, columns.x, columns.y, columns.p)
            if first_outside < 0 <= state[aedat3.FIRST_OUTSIDE]:
                first_outside = window.offset + int(state[aedat3.FIRST_OUTSIDE])
            window.use(used)
            if n:
                yield columns.first(n)
        offset, have = window.offset, len(window.data)
        if state[aedat3.REFUSED]:
            account.lost(offset, "a packet header makes no sense there; nothing after it was read")
        elif missing := int(state[aedat3.RECORDS]) * aedat3.POLARITY_BYTES + int(state[aedat3.SKIP]):
            account.lost(offset, f"the file ends inside a packet: {missing - have} bytes of it are missing")
        elif have:
            account.lost(offset, f"the file ends inside a packet header: {have} of its {aedat3.HEADER} bytes are there")
        account.note("events marked as not valid, left out", int(state[aedat3.INVALID]))
        account.note("special events, not read", int(state[aedat3.SPECIAL]))
        account.note("frames, not read", int(state[aedat3.FRAMES]))
        account.note("IMU samples, not read", int(state[aedat3.IMU]))
        account.note("events of other kinds, not read", int(state[aedat3.OTHER]))
        if first_outside >= 0:
            account.lost(first_outside, outside_text(int(state[aedat3.OUTSIDE]), self._size))

    def ranges(self) -> tuple[Range, ...]:
        """Those of the kernel."""
        from sensors.kernels import aedat3

        return aedat3.RANGES


def _read_header(path: str, file: BinaryIO) -> tuple[str, int]:
    """The header's text and the offset of the first packet."""
    file.seek(0)
    head = file.read(_MAX_HEADER_BYTES)
    version = head[len(b"#!AER-DAT") :].split(b"\r\n", 1)[0].decode("latin-1")[:8]
    if version != "3.1":
        raise InputError(
            f"{path}: is an AEDAT 3 recording of version {version!r}; evpipe reads 3.1. "
            "Convert it to AEDAT4 with DV first."
        )
    end = head.find(b"\n" + _END)
    if end < 0:
        raise InputError(f"{path}: the AEDAT 3.1 header has no end (#!END-HEADER); the file is cut. Get a whole one.")
    text = head[:end].decode("latin-1")
    coded = re.search(r"^#Format: *([^\r\n]*)", text, re.MULTILINE)
    if coded and coded[1].strip() != "RAW":
        raise InputError(
            f"{path}: the packets of this AEDAT 3.1 recording are coded as {coded[1].strip()!r}; evpipe reads RAW. "
            "Convert it to AEDAT4 with DV first."
        )
    return text, end + 1 + len(_END)


def _size(path: str, header: str) -> tuple[int, int]:
    """(width, height) of the source."""
    source = re.search(r"^#Source \d+: *([^\r\n]*)", header, re.MULTILINE)
    name = source[1].strip() if source else ""
    chip = re.match(r"(DVS|DAVIS)[^0-9]*(\d{3})", name.upper())
    if chip and (size := _SIZES.get(chip[1] + chip[2])):
        return size
    found = f"names the source {name!r}" if name else "names no source (no line '#Source 1: ...')"
    raise InputError(
        f"{path}: the AEDAT 3.1 header {found}; evpipe knows the sizes of {', '.join(_SIZES)}. "
        "Give size: [height, width]."
    )

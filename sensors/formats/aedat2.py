"""AEDAT 2.0, the recordings of jAER: a text header that names the chip, then big-endian address and time pairs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from evpipe.errors import InputError
from sensors.formats.file_reader import FileReader, Range
from sensors.formats.reader import IDLE, Chunk, Columns, Place, blocks, outside_text

_MAX_HEADER_BYTES = 2**23
_END_MARK = b"#End Of ASCII Header"
_DAVIS_SIZES = {"128": (128, 128), "208": (208, 192), "240": (240, 180), "346": (346, 260), "640": (640, 480)}


class Aedat2Reader(FileReader):
    """Reads the events of a DVS128 or DAVIS; frame samples, IMU words and external events are counted, not read.

    Columns are the address fields as stored. jAER's origin is at the bottom right, so both axes are mirrored.
    """

    format = "AEDAT2"
    mirror_x = mirror_y = True
    follows = True

    def __init__(self, path: str, file: BinaryIO, size: tuple[int, int] | None = None) -> None:
        """`size` (width, height) overrides the chip's, and stands in for a chip name that is missing.

        Raises InputError when the header names no chip whose address layout is known.
        """
        chip, self._start = _read_header(file)
        self.davis, chip_size = _layout(path, chip, size)
        super().__init__(path, file)
        self.width, self.height = self._size = size or chip_size

    def items(self, place: Place | None, wanted: frozenset[str] | None) -> Iterator[Chunk | Place]:
        """The events."""
        from sensors.kernels import aedat2

        account, start, state = self.account, self._start, aedat2.new_state()
        if place is not None:
            start, state[:] = place
        columns, first_outside = Columns(max(self.block_bytes // 8, 1)), -1
        for offset, data in blocks(self._file, start, 8, account, self.block_bytes, self.follow):
            words = data.view("<u4")
            if not len(words):
                yield IDLE
                continue
            yield Place(offset, state)
            n = aedat2.decode(words, state, self.davis, *self._size, columns.t, columns.x, columns.y, columns.p)
            if first_outside < 0 <= state[aedat2.FIRST_OUTSIDE]:
                first_outside = offset + 8 * int(state[aedat2.FIRST_OUTSIDE])
            if n:
                yield columns.first(n)
        account.note("external events, not read", int(state[aedat2.SPECIAL]))
        account.note("IMU words, not read", int(state[aedat2.IMU_WORDS]))
        account.note("samples of frames, not read", int(state[aedat2.APS_WORDS]))
        if first_outside >= 0:
            account.lost(first_outside, outside_text(int(state[aedat2.OUTSIDE]), self._size))

    def ranges(self) -> tuple[Range, ...]:
        """Those of the kernel."""
        from sensors.kernels import aedat2

        return aedat2.RANGES


def _read_header(file: BinaryIO) -> tuple[str, int]:
    """The chip's class name ("" when absent) and the offset of the first record.

    Old files have no end mark; there the header ends at the first line that is no text or does not begin with '#'
    (a record's first byte may be '#', too).
    """
    file.seek(0)
    head = file.read(_MAX_HEADER_BYTES)
    marked = head.find(b"\n" + _END_MARK)
    at = 0
    chip = ""
    while head[at : at + 1] == b"#" and not 0 <= marked < at - 1:
        end = head.find(b"\n", at)
        line = head[at : end if end >= 0 else len(head)]
        if marked < 0 and any(byte < 32 and byte not in (9, 13) for byte in line):
            break
        if match := re.match(rb"#\s*AEChip:\s*(\S+)", line):
            chip = match[1].decode("latin-1")
        at = end + 1 if end >= 0 else len(head)
    return chip, at


def _layout(path: str, chip: str, size: tuple[int, int] | None) -> tuple[bool, tuple[int, int]]:
    """(has the DAVIS address layout, (width, height)) of a chip."""
    name = chip.rsplit(".", 1)[-1].lower()
    if "dvs128" in name:
        return False, (128, 128)
    if name.startswith("sbret"):
        return True, _DAVIS_SIZES["240"]
    if match := re.search(r"davis\D*(\d+)", name):
        known = _DAVIS_SIZES.get(match[1][:3])
        if known or size:
            return True, known or size or (0, 0)
    if not chip and size:
        return size != (128, 128), size
    found = f"names the chip {chip!r}" if chip else "names no chip (no line '# AEChip: ...')"
    raise InputError(
        f"{path}: the AEDAT 2.0 header {found}; evpipe knows the addresses of DVS128 and DAVIS chips. "
        "If it is one of them, give size: [height, width]."
    )

"""Event Stream (.es) version 2: delta-coded bytes of a DVS, an ATIS, a colour camera, or of timed byte strings."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from evpipe.errors import InputError
from sensors.formats.file_reader import FileReader, Range
from sensors.formats.reader import IDLE, Chunk, Columns, Place, Window, outside_text

_MAX_EVENT_BYTES = 2**26
_ROOM = 2**16
_NAMES = {0: "ES-GENERIC", 1: "ES-DVS", 2: "ES-ATIS", 4: "ES-COLOR"}


class EsReader(FileReader):
    """Reads the changes of a stream; its origin is at the bottom left. Colour events have no polarity: `p` is 0.

    Generic streams have no pixels: width and height are None, x, y and p are 0.
    """

    follows = True

    def __init__(self, path: str, file: BinaryIO, size: tuple[int, int] | None = None) -> None:
        """`size` (width, height) overrides the file's. Raises InputError for an unknown version or stream type."""
        file.seek(0)
        head = file.read(20)
        kind = head[15] if len(head) > 15 else -1
        if kind not in _NAMES or head[12] != 2:
            raise InputError(
                f"{path}: byte 12: Event Stream version {head[12:15].hex('.')}, type {kind}; evpipe reads version 2, "
                "types 0 (generic), 1 (DVS), 2 (ATIS) and 4 (colour). Convert it."
            )
        if kind and len(head) < 20:
            raise InputError(f"{path}: an Event Stream header has 20 bytes, the file {len(head)}. Get a whole one.")
        super().__init__(path, file)
        self.format = _NAMES[kind]
        self.width = self.height = None
        if kind:
            self.width, self.height = size or struct.unpack_from("<HH", head, 16)
        self._size = (self.width or 1, self.height or 1)
        self.mirror_y = kind != 0
        self._kind, self._start = kind, 20 if kind else 16

    def items(self, place: Place | None, wanted: frozenset[str] | None) -> Iterator[Chunk | Place]:
        """The events."""
        from sensors.kernels import es

        account, start, state, columns = self.account, self._start, es.new_state(), Columns(_ROOM)
        if place is not None:
            start, state[:] = place
        window, first_outside = Window(self._file, start, max(self.block_bytes, 64), account, self.follow), -1
        while (more := window.fill()) is not False:
            if more is None:
                yield IDLE
                continue
            data, at = window.data, 0
            while at < len(data):
                yield Place(window.offset + at, state)
                used, n = es.decode(
                    data[at:], state, self._kind, *self._size, columns.t, columns.x, columns.y, columns.p
                )
                if first_outside < 0 <= state[es.FIRST_OUTSIDE]:
                    first_outside = window.offset + at + int(state[es.FIRST_OUTSIDE])
                if n:
                    yield columns.first(n)
                if not used:
                    break
                at += used
            window.use(at)
            if window.full and len(window.data) < _MAX_EVENT_BYTES:  # one event of a generic stream fills the window
                window.widen()
        if len(window.data) == _MAX_EVENT_BYTES:
            what = f"an event is longer than {_MAX_EVENT_BYTES} bytes; nothing after it was read"
            account.lost(window.offset, what)
        elif len(window.data):
            what = f"the file ends inside an event, {len(window.data)} bytes after its beginning"
            account.lost(window.offset, what)
        account.note("threshold crossings, not read", int(state[es.CROSSINGS]))
        if first_outside >= 0:
            account.lost(first_outside, outside_text(int(state[es.OUTSIDE]), self._size))

    def ranges(self) -> tuple[Range, ...]:
        """Those of the kernel."""
        from sensors.kernels import es

        return es.RANGES

"""Event Stream (.es) version 2: delta-coded bytes of a DVS, an ATIS, a colour camera, or of timed byte strings."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from evpipe.errors import InputError
from sensors.formats.reader import BLOCK_BYTES, Account, Chunk, Columns, outside_text

_MAX_EVENT_BYTES = 2**26
_ROOM = 2**16
_NAMES = {0: "ES-GENERIC", 1: "ES-DVS", 2: "ES-ATIS", 4: "ES-COLOR"}


class EsReader:
    """Reads the changes of a stream; its origin is at the bottom left. Colour events have no polarity: `p` is 0.

    Generic streams have no pixels: width and height are None, x, y and p are 0.
    """

    streams: tuple[str, ...] = ("events",)
    mirror_x = False
    disorder_us = 0

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
        self.path = path
        self.format = _NAMES[kind]
        self.width: int | None = None
        self.height: int | None = None
        if kind:
            self.width, self.height = size or struct.unpack_from("<HH", head, 16)
        self._size = (self.width or 1, self.height or 1)
        self.mirror_y = kind != 0
        self.account = Account()
        self.block_bytes = BLOCK_BYTES
        self._kind, self._start, self._file = kind, 20 if kind else 16, file

    def chunks(self, wanted: frozenset[str] | None = None) -> Iterator[Chunk]:
        """The events."""
        from sensors.kernels import es

        self.account = account = Account()
        state, columns = es.new_state(), Columns(_ROOM)
        buffer = np.empty(max(self.block_bytes, 64), np.uint8)
        self._file.seek(self._start)
        have, offset, first_outside = 0, self._start, -1
        while got := self._file.readinto(buffer.data[have:]):  # type: ignore[attr-defined]
            have += got
            at = 0
            while at < have:
                used, n = es.decode(
                    buffer[at:have], state, self._kind, *self._size, columns.t, columns.x, columns.y, columns.p
                )
                if first_outside < 0 <= state[es.FIRST_OUTSIDE]:
                    first_outside = offset + at + int(state[es.FIRST_OUTSIDE])
                if n:
                    yield columns.first(n)
                if not used:
                    break
                at += used
            buffer[: have - at] = buffer[at:have].copy()
            offset, have = offset + at, have - at
            if have == len(buffer) and have < _MAX_EVENT_BYTES:  # one event of a generic stream larger than the buffer
                buffer = np.concatenate([buffer, np.empty_like(buffer)])
        if have == _MAX_EVENT_BYTES:
            account.lost(offset, f"an event is longer than {_MAX_EVENT_BYTES} bytes; nothing after it was read")
        elif have:
            account.lost(offset, f"the file ends inside an event, {have} bytes after its beginning")
        account.note("threshold crossings, not read", int(state[es.CROSSINGS]))
        if first_outside >= 0:
            account.lost(first_outside, outside_text(int(state[es.OUTSIDE]), self._size))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

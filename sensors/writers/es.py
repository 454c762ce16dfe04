"""Event Stream (.es), version 2, of a DVS: times as waits of up to 126 us, rows counted from the bottom."""

from __future__ import annotations

import os
import struct

import numpy as np

from evpipe.errors import RecorderError
from sensors.formats.reader import EventChunk
from sensors.writers.chunks import picked
from sensors.writers.writer import FileWriter, OutFile

CLOCK_US = 2**28
"""A recording that begins later is shifted: the wait before its first event would cost a byte for each 127 us."""

MAX_WAIT_US = 2**36
_BYTES = 2**19


class EsWriter(FileWriter):
    """Writes events. Time cannot step back: such an event is written with the time before, and counted."""

    format = "ES"
    max_side = 2**16 - 1

    def __init__(self, path: str | os.PathLike[str], width: int, height: int) -> None:
        from sensors.kernels import es_write

        super().__init__(path, width, height)
        self._kernel = es_write
        self._state = es_write.new_state()
        self._shift: int | None = None
        self._data = np.empty(_BYTES, np.uint8)
        head = b"Event Stream\x02\x00\x00\x01" + struct.pack("<HH", width, height)
        self._file: OutFile | None = OutFile(self.path, head)

    def events(self, chunk: EventChunk) -> None:
        """Add events. Raises RecorderError for one outside the sensor, and for a wait of more than 19 hours."""
        if not len(chunk.t):
            return
        self.check_inside(chunk.x, chunk.y)
        if self._shift is None:
            self._shift = self.clock_shift(int(chunk.t.min()), CLOCK_US)
        if int(chunk.t.max()) - self._shift - int(self._state[self._kernel.LAST]) > MAX_WAIT_US:
            raise RecorderError(
                f"{self.path}: time jumps to {int(chunk.t.max())} us, more than 19 hours on; Event Stream counts them "
                "out, a byte for each 127 us. Cut the recording there with --from and --to, or choose another format."
            )
        assert self._file is not None
        columns = chunk
        while len(columns.t):
            i, n = self._kernel.encode(*columns, self._state, self._shift, self.height, self._data)
            self._file.write(self._data[:n].data)
            columns = picked(columns, slice(i, None))

    def close(self) -> None:
        """Close the file."""
        if self._file is None:
            return
        self._file.close()
        self._file = None
        self.note("events whose time stepped back, written with the time before", int(self._state[self._kernel.HELD]))

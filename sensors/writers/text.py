"""Text: a line `t,x,y,p` for each event, times in us, polarity 1 (brighter) or 0, under a line with these names."""

from __future__ import annotations

import os

import numpy as np

from evpipe.errors import RecorderError
from sensors.formats.reader import EventChunk
from sensors.writers.chunks import picked
from sensors.writers.writer import FileWriter, OutFile

_EVENTS = 2**15
MAX_US = 10**17
"""Readers take longer times for ns."""


class TextWriter(FileWriter):
    """Writes events. Text has no place for the size of the sensor that every reader skips, so it is left out."""

    format = "CSV"

    def __init__(self, path: str | os.PathLike[str], width: int, height: int) -> None:
        from sensors.kernels import text_write

        super().__init__(path, width, height)
        self._kernel = text_write
        self._data = np.empty(_EVENTS * text_write.MOST_BYTES, np.uint8)
        self._file: OutFile | None = OutFile(self.path, b"t,x,y,p\n")
        self.note(f"sensor size left out ({width}x{height}): CSV has no place for it", 1)

    def events(self, chunk: EventChunk) -> None:
        """Add events. Raises RecorderError for one outside the sensor, and for a time of 18 digits."""
        if not len(chunk.t):
            return
        self.check_inside(chunk.x, chunk.y)
        if max(int(chunk.t.max()), -int(chunk.t.min())) >= MAX_US:
            raise RecorderError(
                f"{self.path}: a time of {int(chunk.t.max())} us has so many digits that readers of text take it for "
                "ns. Choose another format, such as npz or hdf5."
            )
        assert self._file is not None
        for first in range(0, len(chunk.t), _EVENTS):
            part = picked(chunk, slice(first, first + _EVENTS))
            self._file.write(self._data[: self._kernel.encode(*part, self._data)].data)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

"""Prophesee RAW: EVT2, EVT2.1 and EVT3, with trigger edges between the events at their time."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evpipe.errors import RecorderError
from sensors.formats.reader import EventChunk, TriggerChunk
from sensors.writers.chunks import copied, joined, no_edges, no_events, picked
from sensors.writers.held import Held
from sensors.writers.writer import FileWriter, OutFile

MAX_JUMP_US = 2**44
"""A jump of more than half a year is an error in the times; EVT3 would count it out in megabytes of words."""

_WORDS = 2**17


class Coding(NamedTuple):
    """What tells the codings apart: names in the header, word, bits of the clock in us, channels of triggers."""

    format: str
    key: str
    evt: str
    word: str
    clock_bits: int
    channels: int


CODINGS = {
    "evt2": Coding("EVT2", "EVT2", "2.0", "<u4", 34, 32),
    "evt21": Coding("EVT2.1", "EVT21", "2.1", "<u8", 34, 32),
    "evt3": Coding("EVT3", "EVT3", "3.0", "<u2", 24, 16),
}


class RawWriter(FileWriter):
    """Writes events and trigger edges; the header names the coding and the size, and a shift of the clock as `t0`.

    The clock counts 2^34 us (EVT3: 2^24 us) and wraps; whole ranges before the first event are taken off every time,
    and said. Where time steps back, EVT2 and EVT2.1 keep it unless it crosses a wrap; EVT3 has no way to, so the event
    is written with the time before. Both are counted.
    """

    takes = frozenset({"events", "triggers"})
    max_side = 2**11

    def __init__(self, path: str | os.PathLike[str], width: int, height: int, coding: str, lag_us: int = 0) -> None:
        """`coding` is one of `CODINGS`; `lag_us`: by how much edges may come after events of their time."""
        self._coding = CODINGS[coding]
        self.format = self._coding.format
        super().__init__(path, width, height)
        self._held = Held(lag_us)
        self._encoder: Encoder | None = None
        self._file: OutFile | None = OutFile(self.path)

    def events(self, chunk: EventChunk) -> None:
        """Add events. Raises RecorderError for one outside the sensor."""
        self.check_inside(chunk.x, chunk.y)
        self._held.add_events(chunk)
        self._write(final=False)

    def triggers(self, chunk: TriggerChunk) -> None:
        """Add signal edges; those of channels that the coding has no number for are left out and counted."""
        self._held.add_edges(self.numbered(chunk, self._coding.channels))
        self._write(final=False)

    def close(self) -> None:
        """Write what is held back, and close the file."""
        if self._file is None:
            return
        try:
            self._write(final=True)
            encoder = self._started(0)
            encoder.finish()
            encoder.tell(self.note)
        finally:
            self._file.close()
            self._file = None

    def _write(self, *, final: bool) -> None:
        for events, edges in self._held.ready(final=final):
            self._started(int(min(part.t.min() for part in (events, edges) if len(part.t))))(events, edges)

    def _started(self, first_us: int) -> Encoder:
        """The encoder; at the first call the header is written, and the shift of the clock is fixed."""
        if self._encoder is None:
            assert self._file is not None
            shift = self.clock_shift(first_us, 1 << self._coding.clock_bits)
            self._file.write(self._header(shift))
            self._encoder = Encoder(self.path, self._coding, self.width, shift, self._file.write)
        return self._encoder

    def _header(self, shift_us: int) -> bytes:
        key, size = self._coding.key, f"height={self.height};width={self.width}"
        order = ";endianness=little" if key == "EVT21" else ""
        lines = [f"evt {self._coding.evt}", f"format {key};{size}{order}", f"geometry {self.width}x{self.height}"]
        if shift_us > 0:
            lines.append(f"t0 {shift_us}")
        return "".join(f"% {line}\n" for line in [*lines, "end"]).encode()


class Encoder:
    """Columns to words of one coding, whatever the columns' cuts; the words go to `write`."""

    def __init__(self, path: str, coding: Coding, width: int, shift_us: int, write: Callable[[Any], Any]) -> None:
        """`shift_us` is taken off every time, so that the first lies within the clock's range; `path` is for errors."""
        from sensors.kernels import evt2_write, evt3_write

        self._kernel: Any = evt3_write if coding.key == "EVT3" else evt2_write
        self._option = width if coding.key == "EVT3" else coding.key == "EVT21"
        self._state: NDArray[np.int64] = self._kernel.new_state()
        self._words = np.empty(_WORDS, coding.word)
        self._path, self._shift_us, self._write = path, shift_us, write
        self._rest = no_events()

    def __call__(self, events: EventChunk, edges: TriggerChunk) -> None:
        """Write events, and edges none of which is later than the last event; without events, edges alone.

        A last run of events of one time and row waits for more of them. Raises RecorderError for a jump in time of
        more than MAX_JUMP_US.
        """
        newest = max((int(part.t.max()) for part in (events, edges) if len(part.t)), default=self.last_us)
        if newest - self.last_us > MAX_JUMP_US:
            self.finish()
            raise RecorderError(
                f"{self._path}: time jumps from {self.last_us} to {newest} us, more than half a year. Cut the "
                "recording there with --from and --to, or choose another format, such as npz."
            )
        if not len(events.t):
            self.finish()
        self._rest = copied(self._encode(joined(self._rest, events), edges, final=False))

    def finish(self) -> None:
        """Write the run that waits."""
        self._rest = self._encode(self._rest, no_edges(), final=True)

    def restart(self) -> None:
        """Let the words that follow be understood without those before. Only EVT3."""
        kernel, state = self._kernel, self._state
        if state[kernel.HIGH] >= 0:
            self._write(np.array([0x8000 | (int(state[kernel.HIGH]) & 0xFFF)], "<u2").data)
        state[kernel.LOW] = state[kernel.ROW] = state[kernel.BASE] = -1

    @property
    def last_us(self) -> int:
        """The time written last."""
        return int(self._state[self._kernel.LAST]) + self._shift_us

    def tell(self, note: Callable[[str, int], None]) -> None:
        """Note what could not be kept as it was."""
        kernel, state = self._kernel, self._state
        note("events and edges whose time stepped back, written with the time before", int(state[kernel.HELD]))
        if kernel.__name__.endswith("evt2_write"):
            note("steps back in time, written as they are: some readers take each for a wrap", int(state[kernel.BACK]))

    def _encode(self, columns: EventChunk, edges: TriggerChunk, *, final: bool) -> EventChunk:
        """Write until all is used up; the events that wait for more of their kind."""
        kernel, words = self._kernel, self._words
        while True:
            i, k, n = kernel.encode(*columns, *edges, self._state, self._shift_us, self._option, final, words)
            self._write(words[:n].data)
            columns = picked(columns, slice(i, None))
            edges = picked(edges, slice(k, None))
            if n + kernel.MOST_WORDS <= len(words):
                return columns

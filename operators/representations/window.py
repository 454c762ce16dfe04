"""What representations share: windows at multiples of the hop in absolute sensor time, each with all of its events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evpipe.errors import UsageError
from evpipe.operator import Operator
from evpipe.packets import I32, Events, Tensor
from operators.filters.filter import Columns, columns
from operators.representations.memory import Kept, Pictures

LONGEST_SILENCE = 100


class Windows(Operator, ABC):
    """One tensor for each window of `window_us`, one every `hop_us`, on a grid of `size` [height, width].

    Windows begin, leave, bridge gaps and pass over silences as those of `TemporalBin`.
    """

    axes = "THW"

    def __init__(self, window_us: int, hop_us: int | None, size: tuple[int, int] | None, **others: int) -> None:
        hop_us = window_us if hop_us is None else hop_us
        faults = self.window_faults(window_us, hop_us, size, **others)
        if faults:
            raise UsageError(f"{type(self).__name__}: {'; '.join(faults)}")
        self._window_us, self._hop_us, self._asked = window_us, hop_us, size
        self._pictures = Pictures()
        self.warmup_us = window_us
        self.reset()

    @staticmethod
    def window_faults(window_us: int, hop_us: int | None, size: tuple[int, int] | None, **others: int) -> list[str]:
        """What is wrong with these values."""
        given = {"window_us": window_us, "hop_us": hop_us, "size": None if size is None else min(size), **others}
        return [f"{name} is {n}; it must be at least 1" for name, n in given.items() if n is not None and n < 1]

    def open(self) -> None:
        """Load the kernels ahead of the first packet."""
        import operators.kernels.bin
        import operators.kernels.representations  # noqa: F401

    def reset(self) -> None:
        """Forget all events: the next packet starts afresh."""
        self._kept = Kept()
        self._start_us: int | None = None
        self._known_us = 0
        self._sensor = (0, 0)

    def on_events(self, events: Events) -> Iterator[Tensor]:
        """Take a packet's events in and give the windows that it completes, in order."""
        self._begin(events)
        assert self._start_us is not None
        self._keep(events)
        while events.t1_us >= self._start_us + self._window_us:
            yield self._window(events.epoch)
            self._start_us += self._hop_us
            self._kept.forget(self._start_us)
        self._known_us = events.t1_us

    @abstractmethod
    def _values(self, found: Columns, t0_us: int, t1_us: int) -> NDArray[Any]:
        """The picture of the events of [t0_us, t1_us), shape by `axes`."""

    def _edges(self, t0_us: int, t1_us: int) -> NDArray[np.int64]:
        """Borders of the T steps of time."""
        return np.array([t0_us, t1_us], np.int64)

    def _begin(self, events: Events) -> None:
        sensor = (events.height, events.width)
        if self._start_us is not None and (events.t0_us < self._known_us or sensor != self._sensor):
            why = (
                f"time went back from {self._known_us} us to {events.t0_us} us"
                if events.t0_us < self._known_us
                else f"the sensor changed to {events.width} x {events.height} px at {events.t0_us} us"
            )
            self.context.say(f"{why}: windows begin anew from there")
            self.reset()
        if sensor != self._sensor:
            from operators.kernels.bin import letterbox

            self._sensor = sensor
            self._size = self._asked or sensor
            self._columns: I32
            self._rows: I32
            self._columns, self._rows = letterbox(sensor, self._size)
        if self._start_us is None:
            self._start_us = -(-events.t0_us // self._hop_us) * self._hop_us
        elif events.t0_us - self._known_us > LONGEST_SILENCE * self._hop_us:
            start_us = (events.t0_us - self._window_us) // self._hop_us * self._hop_us + self._hop_us
            if start_us > self._start_us:
                self.context.say(
                    f"no packets from {self._known_us} us to {events.t0_us} us: "
                    f"{(start_us - self._start_us) // self._hop_us} windows passed over"
                )
                self._start_us = start_us
                self._kept.forget(self._start_us)

    def _keep(self, events: Events) -> None:
        """Copy what may be needed of a packet: arrays are the runtime's again once the handler returns."""
        assert self._start_us is not None
        outside = int(np.count_nonzero((events.x >= events.width) | (events.y >= events.height)))
        if outside:
            self.context.say(
                f"{outside} events of {events.t0_us} us to {events.t1_us} us left out: "
                f"outside the sensor of {events.width} x {events.height} pixels"
            )
        first = int(np.searchsorted(events.t, self._start_us))
        if first < len(events):
            self._kept.add(columns(events), first)

    def _window(self, epoch: int) -> Tensor:
        assert self._start_us is not None
        t0_us, t1_us = self._start_us, self._start_us + self._window_us
        return Tensor(
            t0_us=t0_us,
            t1_us=t1_us,
            epoch=epoch,
            values=self._values(self._kept.between(t0_us, t1_us), t0_us, t1_us),
            axes=self.axes,
            edges_us=self._edges(t0_us, t1_us),
        )

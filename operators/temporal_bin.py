"""Events to windows of counts: the input of every network here that sees T frames of one sensor.

Windows lie at multiples of the hop in absolute sensor time, so that seeks, batch splits and fresh runs agree.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from evpipe.errors import UsageError
from evpipe.operator import Micros, Operator
from evpipe.packets import Events, Tensor

LONGEST_SILENCE = 100


class TemporalBin(Operator):
    """Events per frame, polarity and coarse pixel, in windows of `frames` frames, one window every `hop`.

    `window`: length of the whole clip; one frame is `window / frames`. `hop`: from one window's start to the next's;
    a whole number of frames. `size`: [height, width] of a frame; a sensor of another shape is letterboxed, centred
    and square. Gives `values` float32 [T, 2, H, W] (polarity 1 = brighter), axes "TPHW", spanning the window.

    The first window starts at the first multiple of `hop` that the stream covers; a window leaves once time has
    passed its end, and the last, unfinished one never does. Where packets are missing (a gap) windows hold the events
    that did arrive; a silence of more than 100 hops is passed over, with a message, to the first window that
    reaches beyond it. Time that runs backwards begins anew, with a message.

    Raises UsageError where `window / frames` or `hop / (window / frames)` is not whole.
    """

    def __init__(
        self,
        window_us: Micros = 480_000,
        hop_us: Micros = 60_000,
        frames: int = 16,
        size: tuple[int, int] = (32, 32),
    ) -> None:
        faults = self.check_parameters(window_us, hop_us, frames, size)
        if faults:
            raise UsageError(f"TemporalBin: {'; '.join(faults)}")
        self._window_us, self._hop_us, self._frames, self._size = window_us, hop_us, frames, size
        self._frame_us = window_us // frames
        self.warmup_us = window_us
        # Frame f of absolute time is counted in slot f % frames: each event once, however many windows share it.
        self._ring: NDArray[np.int32] = np.zeros((frames, 2, size[0] * size[1]), np.int32)
        self._sensor = (0, 0)
        self._columns = self._rows = np.zeros(0, np.int32)
        self.reset()

    @staticmethod
    def check_parameters(window_us: int, hop_us: int, frames: int, size: tuple[int, int]) -> list[str]:
        """What is wrong with these values together, with the nearest ones that would do; `evpipe check` shows it."""
        given = {"window_us": window_us, "hop_us": hop_us, "frames": frames, "size": min(size)}
        small = [f"{name} is {value}; it must be at least 1" for name, value in given.items() if value < 1]
        if small:
            return small
        if window_us % frames:
            nearest = max(1, round(window_us / frames)) * frames
            return [
                f"window_us {window_us} is not a whole number of us in each of {frames} frames; "
                f"the nearest window_us that is: {nearest}"
            ]
        frame_us = window_us // frames
        if hop_us % frame_us:
            nearest = max(1, round(hop_us / frame_us)) * frame_us
            return [
                f"hop_us {hop_us} is not a whole number of frames of {frame_us} us "
                f"(window_us {window_us} / frames {frames}); the nearest hop_us that is: {nearest}"
            ]
        return []

    def open(self) -> None:
        """Load the kernel ahead of the first packet."""
        import operators.kernels.bin  # noqa: F401

    def reset(self) -> None:
        """Forget all events: the next packet starts afresh."""
        self._ring.fill(0)
        self._start_us: int | None = None
        self._known_us = 0

    def on_events(self, events: Events) -> Iterator[Tensor]:
        """Count a packet's events and give the windows that it completes, in order."""
        self._begin(events)
        assert self._start_us is not None
        counted = 0
        while events.t1_us >= self._start_us + self._window_us:
            counted = self._count(events, counted)
            yield self._window(events.epoch)
            self._advance()
        self._count(events, counted)
        self._known_us = events.t1_us

    def _begin(self, events: Events) -> None:
        """Where windows start: set at the first packet, moved over a long silence and after a step back in time."""
        if (events.height, events.width) != self._sensor:
            from operators.kernels.bin import letterbox

            self._sensor = (events.height, events.width)
            self._columns, self._rows = letterbox(self._sensor, self._size)
        if self._start_us is not None and events.t0_us < self._known_us:
            self.context.say(
                f"time went back from {self._known_us} us to {events.t0_us} us: windows begin anew from there"
            )
            self.reset()
        if self._start_us is None:
            self._start_us = _round_up(events.t0_us, self._hop_us)
        elif events.t0_us - self._known_us > LONGEST_SILENCE * self._hop_us:
            start_us = (events.t0_us - self._window_us) // self._hop_us * self._hop_us + self._hop_us
            self.context.say(
                f"no packets from {self._known_us} us to {events.t0_us} us: "
                f"{(start_us - self._start_us) // self._hop_us} windows passed over"
            )
            self._ring.fill(0)
            self._start_us = start_us

    def _count(self, events: Events, first: int) -> int:
        """Count events from index `first` on, up to the pending window's end; returns the index of the next one."""
        from operators.kernels.bin import add_counts

        assert self._start_us is not None
        edges = self._start_us + self._frame_us * np.arange(self._frames + 1, dtype=np.int64)
        borders = first + np.searchsorted(events.t[first:], edges)
        slot = self._start_us // self._frame_us
        outside = 0
        for frame in range(self._frames):
            i, j = borders[frame], borders[frame + 1]
            if i < j:
                x, y, p = (np.ascontiguousarray(column[i:j]) for column in (events.x, events.y, events.p))
                outside += add_counts(x, y, p, self._columns, self._rows, self._ring[(slot + frame) % self._frames])
        if outside:
            self.context.say(
                f"{outside} events of {events.t0_us} us to {events.t1_us} us left out: "
                f"outside the sensor of {events.width} x {events.height} pixels"
            )
        return int(borders[-1])

    def _window(self, epoch: int) -> Tensor:
        assert self._start_us is not None
        slot = self._start_us // self._frame_us % self._frames
        values = np.concatenate((self._ring[slot:], self._ring[:slot])).astype(np.float32)
        edges = self._start_us + self._frame_us * np.arange(self._frames + 1, dtype=np.int64)
        return Tensor(
            t0_us=self._start_us,
            t1_us=self._start_us + self._window_us,
            epoch=epoch,
            values=values.reshape(self._frames, 2, *self._size),
            axes="TPHW",
            edges_us=edges,
        )

    def _advance(self) -> None:
        """Move on by one hop; the frames left behind become the newest ones, empty."""
        assert self._start_us is not None
        slot = self._start_us // self._frame_us
        for frame in range(min(self._hop_us // self._frame_us, self._frames)):
            self._ring[(slot + frame) % self._frames].fill(0)
        self._start_us += self._hop_us


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step

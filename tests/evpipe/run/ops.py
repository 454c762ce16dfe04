"""Operators for the runtime's tests: a seeded source, a few ways to be slow or to fail, a sink that writes all down."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np

from evpipe.errors import InputError
from evpipe.operator import Operator, Param, Source
from evpipe.packets import Events, Frame, Mark, Packet, Scores

Micros0 = Annotated[int, Param(unit="us", min=0)]


def some_events(generator: np.random.Generator, n: int, t0_us: int, t1_us: int) -> Events:
    return Events(
        t0_us=t0_us,
        t1_us=t1_us,
        t=np.sort(generator.integers(t0_us, t1_us, n)),
        x=generator.integers(0, 64, n).astype(np.uint16),
        y=generator.integers(0, 48, n).astype(np.uint16),
        p=generator.integers(0, 2, n).astype(np.uint8),
        width=64,
        height=48,
    )


class Noise(Source):
    """Random events and, every `frame_every` packets, a frame."""

    def __init__(
        self, seed: int = 0, packets: int = 100, mean: int = 500, span_us: int = 5000, frame_every: int = 8
    ) -> None:
        self.seed, self.packets, self.mean, self.span_us, self.frame_every = seed, packets, mean, span_us, frame_every

    def stream(self) -> Iterator[Events | Frame]:
        generator = np.random.default_rng(self.seed)
        for k in range(self.packets):
            t0 = k * self.span_us
            yield some_events(generator, int(generator.integers(0, 2 * self.mean + 1)), t0, t0 + self.span_us)
            if self.frame_every and k % self.frame_every == 0:
                image = generator.integers(0, 256, (48, 64, 3)).astype(np.uint8)
                yield Frame(t0_us=t0, t1_us=t0 + self.span_us, image=image)


class EventsOnly(Noise):
    """Declares frames, but has none, as a camera without a frame sensor does."""

    def __init__(self, packets: int = 20) -> None:
        super().__init__(packets=packets, frame_every=0)

    def ports(self) -> list[str]:
        return ["events"]


class Damaged(Noise):
    """Breaks off in the middle, as a truncated file does."""

    def stream(self) -> Iterator[Events | Frame]:
        yield from super().stream()
        raise InputError("noise.raw: byte 4711: the file ends inside a word")


class Silent(Source):
    """Never says anything, like a camera in the dark; ends when it is asked to."""

    def stream(self) -> Iterator[Events]:
        k = 0
        while True:
            time.sleep(0.01)
            yield some_events(np.random.default_rng(0), 0, k * 10_000, (k + 1) * 10_000)
            k += 1


def brighter(events: Events) -> Events:
    """Keep ON events."""
    return events[events.p == 1]


class Rate(Operator):
    """Scores of every `every`-th packet; `sleep_ms` makes it slow, `fail_at` makes it raise."""

    heavy = True

    def __init__(self, every: int = 3, sleep_ms: float = 0.0, fail_at: int = -1, die_at: int = -1) -> None:
        self.every, self.sleep_ms, self.fail_at, self.die_at = every, sleep_ms, fail_at, die_at
        self._k = 0
        self._gaps = 0

    def reset(self) -> None:
        self._k = self._gaps = 0

    def on_gap(self, gap: Mark) -> None:
        self._gaps += gap.count

    def on_events(self, events: Events) -> Iterator[Scores]:
        time.sleep(self.sleep_ms / 1000)
        self._k += 1
        if self._k == self.fail_at:
            raise ZeroDivisionError("cannot divide the rate")
        if self._k == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._k % self.every == 0:
            values = np.array([len(events) / 1000, float(np.sum(events.p))], np.float32)
            yield Scores(
                t0_us=events.t0_us,
                t1_us=events.t1_us,
                labels=("rate", "on"),
                values=values,
                attention=np.zeros(0, np.float32),
                kept=np.zeros(0, bool),
                extras={"gaps": float(self._gaps)},
            )


class Halves(NamedTuple):
    """The two halves of a picture."""

    left: Events
    right: Events


def halves(events: Events) -> Halves:
    """Left and right half."""
    return Halves(events[events.x < 32], events[events.x >= 32])


class Lines(Operator):
    """Writes a line for each packet, with a sum over its arrays, so that any change of bytes or order shows."""

    sink = "recorder"

    def __init__(self, path: str) -> None:
        self._path = path

    def open(self) -> None:
        self._file = Path(self._path).open("w", encoding="utf-8")  # noqa: SIM115

    def reset(self) -> None:
        """What was before a seek is taken out."""
        if self._file.closed:
            self.open()
        self._file.seek(0)
        self._file.truncate()

    def on_any(self, packet: Packet, origin: str) -> None:
        arrays = [getattr(packet, name) for name in packet.__struct_fields__]
        total = sum(int(a.astype(np.float64).sum() * 1000) for a in arrays if isinstance(a, np.ndarray))
        kind = type(packet).__name__
        self._file.write(f"{origin} {kind} {packet.seq} {packet.t0_us} {packet.t1_us} {packet.n_events} {total}\n")

    def on_end(self) -> None:
        self._file.close()

    def close(self) -> None:
        self._file.close()


class Look(Operator):
    """A window's stand-in: a sink that may be slow, with the trait of a window."""

    sink = "window"
    ordered = False

    def __init__(self, sleep_ms: float = 0.0, die_at: int = -1) -> None:
        self._sleep_ms, self._die_at, self._k = sleep_ms, die_at, 0

    def on_events(self, events: Events) -> None:
        time.sleep(self._sleep_ms / 1000)
        self._k += 1
        if self._k == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_scores(self, scores: Scores) -> None:
        pass


class Keeps(Operator):
    """Keeps the arrays of every packet without copying them, which is allowed but costs memory."""

    def __init__(self) -> None:
        self._kept: list[Events] = []
        self._sums: list[int] = []

    def on_events(self, events: Events) -> None:
        self._kept.append(events)
        self._sums.append(int(events.t.sum()))

    def on_end(self) -> None:
        assert [int(events.t.sum()) for events in self._kept] == self._sums


class Tape(Noise):
    """The same events on every play, from any position."""

    can_seek = True

    def __init__(self, packets: int = 100, from_us: Micros0 = 0) -> None:
        super().__init__(packets=packets)
        self.from_us = from_us

    def seek(self, t_us: int) -> None:
        self.from_us = t_us

    def stream(self) -> Iterator[Events | Frame]:
        for packet in super().stream():
            if packet.t0_us >= self.from_us:
                yield packet


class Script(Operator):
    """Once events reach `at_us`, asks for verbs in turn, `pause_ms` apart, and writes down how the run stood then."""

    def __init__(self, at_us: int, verbs: list[dict[str, Any]], path: str, pause_ms: int = 300) -> None:
        self._at_us, self._verbs, self._path, self._pause_ms = at_us, verbs, path, pause_ms
        self._begun = False

    def on_events(self, events: Events) -> None:
        if events.t1_us >= self._at_us and not self._begun:
            self._begun = True
            threading.Thread(target=self._play, daemon=True).start()

    def _play(self) -> None:
        stood = []
        for verb in self._verbs:
            arguments = dict(verb)
            self.context.ask(str(arguments.pop("verb")), **arguments)
            time.sleep(self._pause_ms / 1000)
            now = self.context.transport()
            stood.append([now.paused, now.rate, now.position_us])
        Path(self._path).write_text(json.dumps(stood), encoding="utf-8")


class Adjusted(Operator):
    """Scores hold the parameter `gain`, which may change while running."""

    def __init__(self, gain: Annotated[float, Param(min=0, live=True)] = 1.0, fixed: int = 1) -> None:
        self.gain = gain

    def on_events(self, events: Events) -> Scores:
        none = np.zeros(0, np.float32)
        values = np.array([self.gain], np.float32)
        return Scores(
            t0_us=events.t0_us, t1_us=events.t1_us, labels=("gain",), values=values, attention=none, kept=none > 0
        )

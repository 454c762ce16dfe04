"""The verbs of a run: pause, resume, step, seek, rate, loop, mark, set, stop. One implementation, whoever asks.

It keeps what is true of the whole graph (paused, speed, epoch, the marked range) and tells the workers, which act.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from evpipe.errors import UsageError
from evpipe.graph.model import Graph, Node
from evpipe.graph.units import UnfitValueError
from evpipe.graph.values import convert, meant
from evpipe.link.account import Ledger
from evpipe.run.verbs import AtEnd, Ending, Pause, Rate, Resume, Seek, Set, Step, StepPackets, Verb


class Conductor:
    """Acts on verbs by `tell`, which reaches every worker. Positions are us from where the recordings begin."""

    def __init__(
        self, graph: Graph, ledger: Ledger, tell: Callable[[Verb], None], stop: Callable[[], None], rate: float
    ) -> None:
        self._graph, self._ledger, self._tell, self._stop = graph, ledger, tell, stop
        self._sources = [(i, node) for i, node in enumerate(graph.nodes) if node.spec.source]
        self.rate = rate
        self.paused = False
        self.epoch = 0
        self._at_end: AtEnd = "stop"
        self._start_us = 0
        self._range_us: tuple[int, int | None] = 0, None
        self._at_end_now: set[str] = set()
        self._verbs: dict[str, Callable[..., None]] = {
            "pause": self.pause,
            "resume": self.resume,
            "step": self.step,
            "seek": self.seek,
            "rate": self.set_rate,
            "loop": self.loop,
            "mark": self.mark,
            "set": self.set_parameter,
            "stop": self.stop,
        }

    def act(self, verb: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked; returns the state. Raises UsageError with the reason why not."""
        if verb not in self._verbs:
            raise UsageError(f"there is no verb '{verb}'; there are: {', '.join(self._verbs)}")
        try:
            self._verbs[verb](**arguments)
        except TypeError as error:
            raise UsageError(f"{verb} {arguments}: {error}") from None
        return self.state()

    def state(self) -> dict[str, Any]:
        """How the run stands, as plain values."""
        zeros = [self._ledger.nodes[i].zero_us for i, _ in self._sources]
        return {
            "paused": self.paused,
            "rate": self.rate,
            "loop": self._at_end == "loop",
            "at_end": self._at_end,
            "range_us": list(self._range_us),
            "epoch": self.epoch,
            "position_us": self.position_us,
            "first_us": min(zeros, default=0),
        }

    @property
    def position_us(self) -> int:
        """How far the sources are; right after a seek, where it went."""
        accounts = [self._ledger.nodes[i] for i, _ in self._sources]
        return max((one.position_us for one in accounts if one.epoch == self.epoch), default=self._start_us)

    def pause(self) -> None:
        """Nothing leaves the sources any more. A camera's packets are left out and told as a gap."""
        self.paused = True
        self._tell(Pause(time.monotonic_ns()))

    def resume(self) -> None:
        """Go on; after the end, from the start."""
        if self._at_end_now and self._at_end == "pause":
            self._go_to(self._range_us[0])
        self.paused = False
        self._tell(Resume(time.monotonic_ns()))

    def step(self, packets: int | None = None, time_us: int | None = None) -> None:
        """Pause, and go on by so many packets of the sources or so much sensor time (default: one packet)."""
        if not self.paused:
            self.pause()
        if time_us is not None:
            self._positive("step", time_us)
            self._tell(Step(self.position_us + time_us))
        else:
            self._tell(StepPackets(self._positive("step", 1 if packets is None else packets)))

    def seek(self, t_us: int | None = None, by_us: int | None = None) -> None:
        """Go to a position, or by so much from here."""
        fixed = [node.id for _, node in self._sources if not node.spec.trait("can_seek", False)]
        if fixed:
            raise UsageError(f"seek: only recordings can be sought, and {', '.join(fixed)} is none; use --replay")
        if (t_us is None) == (by_us is None):
            raise UsageError("seek: give either t_us, the position, or by_us, how far from here")
        self._go_to(max(0, t_us if t_us is not None else self.position_us + (by_us or 0)))

    def set_rate(self, rate: float) -> None:
        """Another speed: 1 is as recorded."""
        if not isinstance(rate, int | float) or not 0 < rate < 1e6:
            raise UsageError(f"rate: expected a number above 0, such as 0.5 or 2, found {rate!r}")
        if self._graph.clock == "fast":
            raise UsageError("rate: under --clock fast nothing waits, so there is no speed to set")
        self.rate = float(rate)
        self._tell(Rate(self.rate, time.monotonic_ns()))

    def loop(self, on: bool = True) -> None:
        """At the end, or the end of the marked range, begin anew."""
        self.ending("loop" if on else "stop")

    def mark(self, start_us: int | None = None, stop_us: int | None = None) -> None:
        """The range that `loop` repeats, from `start_us` to `stop_us` (None: from the start, to the end)."""
        start = start_us or 0
        if stop_us is not None and stop_us <= start:
            raise UsageError(f"mark: the range from {start} to {stop_us} us is empty; mark its end after its start")
        self._range_us = start, stop_us
        self._tell(Ending(self._at_end, stop_us if self._at_end == "loop" else None))

    def ending(self, how: AtEnd) -> None:
        """What happens where the sources end."""
        self._at_end = how
        self._tell(Ending(how, self._range_us[1] if how == "loop" else None))

    def ended(self, worker: str, epoch: int, workers: Iterable[str]) -> None:
        """The sources of a worker are at their end; once those of all `workers` are, what was asked for happens."""
        if epoch != self.epoch:
            return
        self._at_end_now.add(worker)
        if set(workers) <= self._at_end_now:
            if self._at_end == "loop":
                self._go_to(self._range_us[0])
            elif self._at_end == "pause" and not self.paused:
                self.pause()

    def set_parameter(self, node: str, parameter: str, value: Any) -> None:
        """A parameter marked live gets a new value."""
        found = next((one for one in self._graph.nodes if one.id == node), None)
        if found is None:
            raise UsageError(f"set: there is no node '{node}'; there are: {', '.join(n.id for n in self._graph.nodes)}")
        name = _live_parameter(found, parameter)
        try:
            made = convert(value, found.spec.params[name])
        except UnfitValueError as error:
            raise UsageError(f"set: {node}.{parameter} {error}") from None
        found.params[name] = made
        self._tell(Set(node, name, msgspec.to_builtins(made)))

    def stop(self) -> None:
        """End the run in good order."""
        self._stop()

    def _go_to(self, t_us: int) -> None:
        self.epoch += 1
        self._start_us = t_us
        self._at_end_now.clear()
        self._tell(Seek(self.epoch, t_us))

    @staticmethod
    def _positive(verb: str, count: int) -> int:
        if not isinstance(count, int) or count < 1:
            raise UsageError(f"{verb}: expected a whole number above 0, found {count!r}")
        return count


def _live_parameter(node: Node, asked: str) -> str:
    name = meant(asked, node.spec.params)
    live = [one for one, parameter in node.spec.params.items() if parameter.meta.live]
    if name in live:
        assert name is not None
        return name
    can = f"live ones: {', '.join(live)}" if live else "it has no live ones"
    why = "can only be set before the run starts" if name else f"is no parameter of {node.use}"
    raise UsageError(f"set: {node.id}.{asked} {why}; {can}")

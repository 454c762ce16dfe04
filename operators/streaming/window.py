"""A trained network on windows of frames that may overlap: exactly the answer of the network on that window alone.

Only the first layer ahead of its neurons is free of a frame's place in the window: its currents are kept for windows to
come, and attention, constants, neurons and all later layers run again for every window, from rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evpipe.packets import F32
from operators.engines.seam import Engine
from operators.nets.ta_snn import TaSnn
from operators.streaming.gate import OPEN, Gate
from operators.streaming.layers import Decision, Layers
from operators.streaming.scores import WindowScores


@dataclass
class _Known:
    """A frame, its number of events, and what the first layer made of it, once it was asked to."""

    counts: F32
    events: np.float32
    currents: F32 | None = None


class Windows:
    """Decisions on whole windows; equal to `TaSnn.answer` in eval mode up to rounding (1e-5 in rates).

    With `carry`, neurons go on from the window before, where none was forgotten, in place of rest: for windows that
    follow one another without overlap.
    """

    def __init__(self, net: TaSnn, engine: Engine, gate: Gate = OPEN, *, carry: bool = False) -> None:
        self._engine, self._gate, self._layers, self._carry = engine, gate, Layers(net, engine), carry
        self._frame_scores = None if net.attention is None else WindowScores(net.attention)
        self._scores = [None if block.attention is None else WindowScores(block.attention) for block in net.layers()]
        self.reset()

    def reset(self) -> None:
        """Forget the window before."""
        self._known: dict[int, _Known] = {}
        self._states = [layer.rest() for layer in self._engine.layers]
        # Frames that the gate left out since one entered.
        self._dropped = np.zeros(1, np.int64)

    def state(self) -> dict[str, F32 | NDArray[np.int64]]:
        """What is carried on, by name, itself and not a copy; nothing without `carry`."""
        if not self._carry:
            return {}
        return {f"layer{index}.state": state for index, state in enumerate(self._states)} | {"dropped": self._dropped}

    def decide(self, starts_us: list[int], counts: F32) -> Decision:
        """The decision on a window of counts [T, 2, H, W] whose frames begin at `starts_us`."""
        frames = self._recall(starts_us, counts)
        events = np.array([frame.events for frame in frames], np.float32)
        means = events / np.float32(counts[0].size)
        every = np.ones(len(frames), np.bool_)
        scores = np.ones_like(means) if self._frame_scores is None else self._frame_scores(means, means, every)
        kept = self._gate.window(scores, events)
        zero = self._gate.mode == "zero_frame"
        runs = every if zero else kept
        weights = np.where(kept, self._gate.weights(scores), np.float32(0))[runs]
        first = np.stack([self._first(frames[t]) if kept[t] else self._silence() for t in np.flatnonzero(runs)])
        # The constant of the batch norm comes after the score: a score scales the frame, not the constant.
        first *= weights[:, None, None]
        first += self._engine.layers[0].constant
        pauses = np.zeros(len(first), np.int32)
        if self._gate.mode == "decay":
            entered = np.flatnonzero(runs)
            pauses[1:] = np.diff(entered) - 1
            # Neurons at rest have nothing to lose before the first frame that enters.
            pauses[0] = self._dropped[0] + entered[0] if self._carry else 0
            self._dropped[0] = len(frames) - 1 - entered[-1]

        def attend(layer: int, currents: F32) -> F32 | None:
            rule = self._scores[layer]
            return None if rule is None else rule(*statistics(currents, rule.maxima), runs)

        if not self._carry:
            self._states = [layer.rest() for layer in self._engine.layers]
        outputs = self._layers.run(first, attend, pauses, self._states, runs)
        divisor = len(frames) if self._gate.mode == "decay" else len(outputs)
        return Decision(outputs.sum(0, dtype=np.float32) / np.float32(divisor), scores, kept)

    def _recall(self, starts_us: list[int], counts: F32) -> list[_Known]:
        """The window's frames; what was computed for a frame holds where its start and its counts are equal."""
        before, self._known = self._known, {}
        for start_us, frame_counts in zip(starts_us, counts, strict=True):
            frame = before.get(start_us)
            if frame is None or not np.array_equal(frame.counts, frame_counts):
                own = np.array(frame_counts, np.float32)
                frame = _Known(own, own.sum())
            self._known[start_us] = frame
        return list(self._known.values())

    def _first(self, frame: _Known) -> F32:
        if frame.currents is None:
            frame.currents = self._engine.frame(frame.counts)
        return frame.currents

    def _silence(self) -> F32:
        return self._engine.layers[0].rest()


def statistics(currents: F32, maxima: bool) -> tuple[F32, F32]:
    """Mean and, where asked for, maximum of each step's currents [S, pixels, C] -> [S], [S]."""
    steps = currents.reshape(len(currents), -1)
    means: F32 = steps.mean(1)
    return means, steps.max(1) if maxima else means

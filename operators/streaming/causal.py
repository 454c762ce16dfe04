"""A trained network that advances by one step for each frame: state carried on, scores from the past alone.

Linear maps and neurons are exact; scores differ from those of windows, and neurons never return to rest, so a model
answers best here when it was trained in this form.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evpipe.packets import F32
from operators.engines.seam import Engine
from operators.nets.ta_snn import TaSnn
from operators.streaming.gate import OPEN, Gate, remembered
from operators.streaming.layers import Decision, Layers
from operators.streaming.lookahead import Step, Waiting
from operators.streaming.scores import CausalScores
from operators.streaming.window import statistics

State = dict[str, NDArray[Any]]


class Causal:
    """Decisions from the mean output of the last `frames` steps; a frame is consumed once.

    A frame that the gate drops: "zero_frame" runs a step on empty counts; "decay" lets the neurons decay before the
    next frame that enters, and answers 0 for the step; "skip" leaves no trace but its own score.

    With `lookahead` k, attention "se" scores a step once it has seen k later ones, so that each place that has it
    delays what passes by k frames: `late` frames in all. Rules "c2" wait for nothing.
    """

    def __init__(self, net: TaSnn, engine: Engine, frames: int, gate: Gate = OPEN, lookahead: int = 0) -> None:
        self._engine, self._gate, self._frames = engine, gate, frames
        self._layers = Layers(net, engine)
        rules = [net.attention, *(block.attention for block in net.layers())]
        self._frame_rule, *self._rules = (
            None if rule is None else CausalScores(rule, frames, lookahead) for rule in rules
        )
        waits = [0 if rule is None else rule.lookahead for rule in (self._frame_rule, *self._rules)]
        # How late a decision is, and how late it is known whether a frame enters, in frames.
        self.late, self.frames_late = sum(waits), waits[0]
        shapes = [engine.layers[0].inputs, *((layer.pixels, layer.outputs[2]) for layer in engine.layers)]
        shapes[0] = (shapes[0][2], *shapes[0][:2])
        self._waiting = [Waiting(wait, shape) for wait, shape in zip(waits, shapes, strict=True)]
        self.reset()

    def reset(self) -> None:
        """Back to rest."""
        T, K = self._frames, self._engine.layers[-1].outputs[2]
        self._states = [layer.rest() for layer in self._engine.layers]
        self._frame_attention = {} if self._frame_rule is None else self._frame_rule.rest()
        self._attention = [{} if rule is None else rule.rest() for rule in self._rules]
        self._steps = [waiting.rest() for waiting in self._waiting]
        self._past = remembered(T)
        self._readout = np.zeros((T, K), np.float32)
        self._scores = np.zeros(T, np.float32)
        self._kept = np.zeros(T, np.bool_)
        self._rates = np.zeros(K, np.float32)
        # Frames seen, outputs in the read-out (at most T), frames dropped since one entered, new ones that entered.
        self._counters = np.zeros(4, np.int64)

    def step(self, counts: F32) -> None:
        """Consume one frame of counts [2, H, W]."""
        counts = np.ascontiguousarray(counts, np.float32)
        self._counters[0] += 1
        score = np.float32(1)
        if self._frame_rule is not None:
            mean = counts.sum() / np.float32(counts.size)
            score = self._frame_rule.step(mean, mean, self._frame_attention)
        due = self._waiting[0].next(Step(counts), self._steps[0])
        if due is None:
            return
        assert due.values is not None
        counts = due.values
        _push(self._past, score)
        enters = self._gate.causal(score, counts.sum(), self._past)
        _push(self._scores, score)
        _push(self._kept, enters)
        if enters:
            weight = score if self._gate.weight == "score" else np.float32(1)
            self._enter(self._engine.frame(counts) * weight + self._engine.layers[0].constant)
        elif self._gate.mode == "zero_frame":
            self._enter(self._engine.layers[0].rest() + self._engine.layers[0].constant)
        else:
            self._counters[2] += 1
            self._advance(Step(None))

    def decide(self) -> Decision:
        """The decision now; `held` where no frame ran since the last one, whose rates are then repeated."""
        held = self._counters[3] == 0
        if not held:
            count = self._counters[1]
            self._rates = self._readout[-count:].sum(0, dtype=np.float32) / np.float32(count)
            self._counters[3] = 0
        warm = bool(self._counters[0] >= self._frames + self.late)
        # Of the newest frames it may not be known yet.
        scores, kept = (
            np.concatenate((ring[self.frames_late :], np.zeros(self.frames_late, ring.dtype)))
            for ring in (self._scores, self._kept)
        )
        return Decision(self._rates.copy(), scores, kept, warm, bool(held))

    def save(self) -> State:
        """All state as arrays, to go on from with `restore`: the same frames then give the same bits."""
        return {name: array.copy() for name, array in self._arrays().items()}

    def restore(self, state: State) -> None:
        """Go on from a saved state of the same network and gate; the engine may be another one.

        Raises ValueError for arrays of another network.
        """
        arrays = self._arrays()
        shapes = {name: array.shape for name, array in arrays.items()}
        found = {name: array.shape for name, array in state.items()}
        if shapes != found:
            raise ValueError(f"a state of another network: it has {found}, this network {shapes}")
        for name, array in arrays.items():
            array[...] = state[name]

    def _enter(self, first: F32) -> None:
        """A frame enters, by the first layer's currents [pixels, C]."""
        dropped = int(self._counters[2]) if self._gate.mode == "decay" else 0
        self._counters[2] = 0
        self._advance(Step(first, dropped))

    def _advance(self, step: Step) -> None:
        """One step of all layers from the first one's currents, as far as it gets before it has to wait."""
        for layer, rule in enumerate(self._rules):
            scores = None
            if rule is not None:
                scores = np.array([self._score(layer, rule, step.values)], np.float32)
            due = self._waiting[layer + 1].next(step, self._steps[layer + 1])
            if due is None:
                return
            step = due
            if step.values is None:
                continue
            pauses, kept = np.array([step.pauses], np.int32), np.ones(1, np.bool_)
            self._layers.fire(layer, step.values[None], scores, pauses, self._states[layer], kept)
            if layer + 1 < len(self._rules):
                step = Step(self._engine.currents(layer + 1)[0], step.pauses)
        if step.values is None:
            return
        dropped, outputs = step.pauses, self._engine.outputs()[0]
        for row in (*[np.zeros_like(outputs[0])] * min(dropped, self._frames), outputs[0]):
            _push(self._readout, row)
        self._counters[1] = min(self._counters[1] + dropped + 1, self._frames)
        self._counters[3] += 1

    def _score(self, layer: int, rule: CausalScores, currents: F32 | None) -> np.float32:
        """The score of the step that is due at a layer, now that this one has come."""
        if currents is None:
            return rule.pass_over(self._attention[layer])
        (mean,), (maximum,) = statistics(currents[None], rule.maxima)
        return rule.step(mean, maximum, self._attention[layer])

    def _arrays(self) -> State:
        """The state itself, by name."""
        arrays: State = {f"layer{index}.state": state for index, state in enumerate(self._states)}
        for place, rings in zip(
            ("frames", *(f"layer{i}" for i in range(len(self._rules)))),
            (self._frame_attention, *self._attention),
            strict=True,
        ):
            arrays |= {f"{place}.attention.{name}": ring for name, ring in rings.items()}
        for index, steps in enumerate(self._steps):
            arrays |= {f"waiting{index}.{name}": array for name, array in steps.items()}
        return arrays | {
            "gate.scores": self._past,
            "readout": self._readout,
            "scores": self._scores,
            "kept": self._kept,
            "rates": self._rates,
            "counters": self._counters,
        }


def _push(ring: NDArray[Any], value: Any) -> None:
    """Oldest out, newest in at the end."""
    ring[:-1] = ring[1:].copy()
    ring[-1] = value

"""Attention scores outside training: of a whole window, or of one step after the other from the past alone.

Plain arrays, since torch takes longer to start on sixteen numbers than to compute them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evpipe.packets import F32, Bool
from operators.nets.temporal_attention import EPS, C2Scores, SeScores

Arrays = dict[str, NDArray[np.float32]]
Rule = SeScores | C2Scores


class WindowScores:
    """The scores of a window, as the module gives them in eval mode. Means and maxima are [T] or, for "c2", any [S]."""

    def __init__(self, rule: Rule) -> None:
        self.maxima = rule.maxima
        self._array = {name: tensor.detach().float().numpy() for name, tensor in rule.state_dict().items()}
        self._slots = isinstance(rule, SeScores)

    def __call__(self, means: F32, maxima: F32, kept: Bool) -> F32:
        """Scores of the steps that entered: means and maxima [S] of those `kept` [T] -> [S].

        Slots of steps that did not enter hold the mean of those that did: T slots belong to the weights.
        """
        if not self._slots:
            return _c2(self._array, means, self._array["mean"], self._array["variance"])
        scores: F32 = _se(self._array, _filled(means, kept), _filled(maxima, kept) if self.maxima else None)[kept]
        return scores


class CausalScores:
    """The score of each step when it comes.

    "c2": from running mean and variance of the past, which start at the stored ones and move by rho = 2 / (T + 1) after
    the score. "se": the newest slot of the module's scores for the last T steps; before there are so many, the ring
    holds the stored mean or, where none is stored, the first step's statistic. With `lookahead` k, "se" gives the slot
    k before the newest: the score of the step k before this one.
    """

    def __init__(self, rule: Rule, frames: int, lookahead: int = 0) -> None:
        self.maxima = rule.maxima
        # "c2" scores a step from the past in any case.
        self.lookahead = lookahead if isinstance(rule, SeScores) else 0
        self._array = {name: tensor.detach().float().numpy() for name, tensor in rule.state_dict().items()}
        self._slots, self._frames = isinstance(rule, SeScores), frames
        self._rho = np.float32(2 / (frames + 1))

    def rest(self) -> Arrays:
        """The state before the first step."""
        if not self._slots:
            return {
                "mean": self._array["mean"].reshape(1).copy(),
                "variance": self._array["variance"].reshape(1).copy(),
            }
        # Not a number: nothing has been seen, the first step fills the ring.
        start = self._array.get("mean", np.float32(np.nan))
        return {"means": np.full(self._frames, start, np.float32), "maxima": np.full(self._frames, np.nan, np.float32)}

    def step(self, mean: np.float32, maximum: np.float32, state: Arrays) -> np.float32:
        """The score of the step `lookahead` before the one with these statistics; `state` goes on in place."""
        if not self._slots:
            m, v = state["mean"], state["variance"]
            score = np.float32(_c2(self._array, mean, m[0], v[0]))
            e = mean - m[0]
            m += self._rho * e
            v[:] = (1 - self._rho) * (v + self._rho * e * e)
            return score
        _push(state["means"], mean)
        _push(state["maxima"], maximum)
        return self._due(state)

    def pass_over(self, state: Arrays) -> np.float32:
        """A step that does not enter: its slot holds the mean of the others; the score as for `step`."""
        if self._slots and not np.isnan(state["means"][-1]):
            _push(state["means"], state["means"].mean())
            _push(state["maxima"], state["maxima"].mean())
        return self._due(state) if self.lookahead else np.float32(1)

    def _due(self, state: Arrays) -> np.float32:
        scores = _se(self._array, state["means"], state["maxima"] if self.maxima else None)
        due: np.float32 = scores[-1 - self.lookahead]
        return due


def _se(array: Arrays, means: F32, maxima: F32 | None) -> F32:
    if "mean" in array:
        means = (means - array["mean"]) / np.sqrt(array["variance"] + np.float32(EPS))
    logits = _perceptron(array, means)
    return _sigmoid(logits if maxima is None else logits + _perceptron(array, maxima))


def _perceptron(array: Arrays, statistics: F32) -> F32:
    hidden = np.maximum(array["squeeze.weight"] @ statistics + array.get("squeeze.bias", np.float32(0)), 0)
    logits: F32 = array["excite.weight"] @ hidden + array.get("excite.bias", np.float32(0))
    return logits


def _c2(array: Arrays, means: F32 | np.float32, mean: F32, variance: F32) -> F32:
    return _sigmoid(array["gain"] * (means - mean) / np.sqrt(variance + np.float32(EPS)) + array["offset"])


def _sigmoid(logits: F32 | np.float32) -> F32:
    # exp of a large number overflows to infinity, and 1 / (1 + inf) is the 0 that is meant.
    with np.errstate(over="ignore"):
        scores: F32 = (1 / (1 + np.exp(-logits))).astype(np.float32)
    return scores


def _filled(statistics: F32, kept: Bool) -> F32:
    if kept.all():
        return statistics
    slots = np.full(len(kept), statistics.mean(), np.float32)
    slots[kept] = statistics
    return slots


def _push(ring: F32, value: np.float32) -> None:
    if np.isnan(ring[-1]):
        ring[:] = value
    ring[:-1] = ring[1:]
    ring[-1] = value

"""The input gate: which frames enter the network, by their score or their number of events."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from evpipe.packets import F32, Bool
from operators.nets.pruning import absolute, proportion


class Gate(NamedTuple):
    """`rule` "threshold": frames scored at least `value`; "quantile": all but the lowest share `value` of scores;
    "min_events": frames of at least `value` events.

    A frame that does not enter is run with empty counts ("zero_frame"), lets the neurons decay for a step and answers
    0 ("decay"), or does not exist for the network ("skip"). Frames that enter count with their score or with 1.
    """

    rule: Literal["none", "threshold", "quantile", "min_events"] = "none"
    value: float = 0.0
    mode: Literal["skip", "decay", "zero_frame"] = "skip"
    weight: Literal["score", "one"] = "score"

    def weights(self, scores: F32) -> F32:
        """What frames that enter are scaled by."""
        return scores if self.weight == "score" else np.ones_like(scores)

    def window(self, scores: F32, events: F32) -> Bool:
        """Which of a window's frames enter, by scores and events [T]; at least one always does, the best."""
        if self.rule == "none":
            return np.ones(len(scores), np.bool_)
        if self.rule == "min_events":
            kept = events >= self.value
            if not kept.any():
                kept[np.argmax(events)] = True
            return kept
        choose = absolute if self.rule == "threshold" else proportion
        chosen: Bool = choose(torch.from_numpy(scores)[None], self.value)[0].numpy()
        return chosen

    def causal(self, score: np.float32, events: np.float32, past: F32) -> bool:
        """Whether a frame enters; `past`: scores of frames before and this one, newest last, nan where none was."""
        if self.rule == "none":
            return True
        if self.rule == "min_events":
            return bool(events >= self.value)
        if self.rule == "threshold":
            return bool(score >= np.float32(self.value))
        seen = np.sort(past[~np.isnan(past)])
        return bool(score >= seen[min(int(self.value * len(seen)), len(seen) - 1)])


OPEN = Gate()


def remembered(frames: int) -> NDArray[np.float32]:
    """An empty memory of scores for `causal`: the last 8 windows of T frames."""
    return np.full(8 * frames, np.nan, np.float32)

"""How long the live operator takes for a decision, and how far a decision looks ahead. Figures of this machine."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import numpy as np

from evpipe.packets import Tensor
from operators.learn.clips import Clips, frames
from operators.learn.evaluation import one_thread
from operators.model_card import Card
from operators.ta_snn import Classify

DECISIONS = 120
UNTIMED = 10


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds of one thread for a decision, over `decisions` windows.

    `fresh`: nothing of the window was seen before; `hopping`: all but `hop_frames` frames were. `lookahead_ms`: how
    far a decision may look ahead of a frame of its window.
    """

    decisions: int
    fresh_median_ms: float
    fresh_p90_ms: float
    hop_frames: int
    hopping_median_ms: float
    hopping_p90_ms: float
    lookahead_ms: float
    threads: int = 1


def measure_latency(folder: Path, card: Card, clips: Clips) -> Latency:
    """Time `Classify` on the clips' events, its first decisions left out, on one thread."""
    with one_thread():
        classify = Classify(model=str(folder))
        classify.open()
        T, steps = card.input.frames, card.input.frame_us // clips.step_us
        hop = max(1, T // 8)
        count = UNTIMED + DECISIONS
        # Clips one after the other make the stream.
        need = -(-(T + hop * count) * steps // clips.counts.shape[1])
        chosen = np.resize(np.arange(len(clips.counts)), need)
        stream = np.concatenate([clips.counts[clip] for clip in chosen])
        stream = frames(stream[: len(stream) // steps * steps], len(stream) // steps)
        times = {}
        lookahead_us = 0
        for name in ("fresh", "hopping"):
            spent = []
            for first in range(0, hop * count, hop):
                if name == "fresh":
                    classify.reset()
                edges = card.input.frame_us * np.arange(first, first + T + 1, dtype=np.int64)
                window = Tensor(
                    t0_us=int(edges[0]), t1_us=int(edges[-1]), values=stream[first : first + T], axes="TPHW",
                    edges_us=edges,
                )  # fmt: skip
                began = time.perf_counter()
                scores = classify.on_tensor(window)
                assert scores is not None
                lookahead_us = scores.lookahead_us
                spent.append(1e3 * (time.perf_counter() - began))
            times[name] = np.percentile(spent[UNTIMED:], [50, 90]).round(3).tolist()
    return Latency(
        decisions=DECISIONS,
        fresh_median_ms=times["fresh"][0],
        fresh_p90_ms=times["fresh"][1],
        hop_frames=hop,
        hopping_median_ms=times["hopping"][0],
        hopping_p90_ms=times["hopping"][1],
        lookahead_ms=lookahead_us / 1000,
    )

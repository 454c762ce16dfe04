"""What a fusion network answers on clips: logits and forms of every pair, and the decisions a stream would make."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from operators.fusion_network import FORMS, Modalities
from operators.learn.fusion.batches import tensor
from operators.learn.fusion.pairs import PairClips
from operators.nets.mmhco import Mmhco

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
BATCH = 64


class Answers(NamedTuple):
    """`logits` float32 [N, T, K] of every pair; `routes` uint8 [N, T, blocks, M], M as in `operators.nets.routing`."""

    logits: F32
    routes: U8


def answer(
    net: Mmhco, clips: PairClips, modalities: Modalities = "both", step: Callable[[int, int], None] = lambda *_: None
) -> Answers:
    """The network's answers, looking at those modalities alone. `step` hears of pairs done, of how many.

    Pairs go in batches of one size, the last one filled up, because another size may round sums otherwise. Give a
    frozen network: it is the one that runs live, and the fastest.
    """
    N, T, H, W, _ = clips.rgb.shape
    total = N * T
    device = next(iter(net.parameters())).device
    shown = (modalities != "events", modalities != "rgb")
    logits = np.zeros((total, net.classes), np.float32)
    routes: list[U8] = []
    with torch.inference_mode():
        for first in range(0, total, BATCH):
            n = min(BATCH, total - first)
            pictures = []
            for given, kept in zip(shown, (clips.rgb, clips.events), strict=True):
                part = np.zeros((BATCH, H, W, 3), np.uint8)
                part[:n] = kept.reshape(total, H, W, 3)[first : first + n]
                pictures.append(tensor(part).to(device) if given else None)
            found = net.pair_logits(pictures[0], pictures[1])
            logits[first : first + n] = found.logits[:n].float().cpu().numpy()
            routes.append(found.routes[:n].cpu().numpy().astype(np.uint8))
            step(first + n, total)
    return Answers(logits.reshape(N, T, -1), np.concatenate(routes).reshape(N, T, net.network.blocks, -1))


def decisions(logits: F32) -> F64:
    """Logits of pairs [N, T, K] -> those of clips [N, K]: the mean, added up oldest first as a live ring does."""
    total = np.zeros((logits.shape[0], logits.shape[2]), np.float64)
    for pair in range(logits.shape[1]):
        total += logits[:, pair]
    means: F64 = total / logits.shape[1]
    return means


def counts_of(routes: U8) -> tuple[tuple[int, ...], ...]:
    """How often each block took each form [blocks][3], over all pairs."""
    blocks = np.moveaxis(routes, 2, 0).reshape(routes.shape[2], -1)
    return tuple(tuple(int(n) for n in np.bincount(block, minlength=len(FORMS))) for block in blocks)


def by_condition(right: NDArray[np.bool_], clips: PairClips) -> dict[str, float]:
    """Shares of True among the clips (or their pairs, [N, T]) of each condition that there is."""
    return {
        name: float(right[of].mean())
        for number, name in enumerate(clips.conditions)
        if (of := clips.condition == number).any()
    }

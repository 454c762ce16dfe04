"""A toy that takes both modalities: motion shows in the event picture alone, colour in the RGB picture alone."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from operators.event_picture import normalised
from operators.fusion_network import FusionNetwork
from operators.nets.mmhco import Mmhco

TRAINING, TEST, BATCH, STEPS = 2700, 300, 32, 300
COLOURS = np.array([[220, 160, 160], [160, 160, 220]])


def pairs(number: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]:
    """RGB and event pictures uint8 [N, 64, 64, 3] of a bright square that moved; label 2 * direction + colour."""
    rng = np.random.default_rng(seed)
    rgb = np.clip(rng.normal(60, 12, (number, 64, 64, 3)), 0, 255).astype(np.uint8)
    events = np.full((number, 64, 64, 3), 255, np.uint8)
    labels = rng.integers(0, 8, number)
    for picture, painted, label in zip(rgb, events, labels, strict=True):
        direction, colour = divmod(int(label), 2)
        side, v = rng.integers(12, 22), rng.integers(3, 7)
        top, left = rng.integers(7, 64 - 7 - side, 2)
        picture[top : top + side, left : left + side] = COLOURS[colour]
        before, after = np.zeros((64, 64), bool), np.zeros((64, 64), bool)
        dy, dx = ((0, v), (0, -v), (v, 0), (-v, 0))[direction]
        after[top : top + side, left : left + side] = True
        before[top - dy : top - dy + side, left - dx : left - dx + side] = True
        chance = rng.random((3, 64, 64))
        painted[(after & ~before & (chance[0] < 0.7)) | (chance[1] < 0.005)] = (220, 30, 30)
        painted[(before & ~after & (chance[0] < 0.7)) | (chance[2] < 0.005)] = (30, 30, 200)
    return rgb, events, labels


@pytest.mark.slow
def test_the_smallest_network_learns_from_both() -> None:
    """At most 400 steps to 98 %; without events directions are guessed, without RGB colours are."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = Mmhco(FusionNetwork(kind="nano"), 8)
    rgb, events, labels = (torch.from_numpy(array) for array in pairs(TRAINING, 0))
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, STEPS)
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        drawn = rng.choice(TRAINING, BATCH, replace=False)
        pictures = [torch.from_numpy(normalised(of[drawn].numpy())) for of in (rgb, events)]
        loss = torch.nn.functional.cross_entropy(net.pair_logits(*pictures).logits, labels[drawn])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5)
        optimizer.step()
        schedule.step()

    net.eval()
    seen, fired, labels = pairs(TEST, 1)
    truth = torch.from_numpy(labels)
    rgb, events = (torch.from_numpy(normalised(pictures)) for pictures in (seen, fired))
    blank = torch.from_numpy(normalised(np.full_like(fired, 255)))
    with torch.inference_mode():
        answer = net.pair_logits(rgb, events)
        shares = [
            (net.pair_logits(*given).logits.argmax(1) == truth).double().mean().item()
            for given in ((rgb, events), (rgb, blank), (torch.zeros_like(rgb), events))
        ]
        assert torch.equal(net.pair_logits(rgb, events).logits, answer.logits)
        frozen = net.frozen().pair_logits(rgb, events)
    counts = [torch.bincount(block, minlength=3).tolist() for block in answer.routes.T]
    print(f"right {shares[0]:.3f}, events blanked {shares[1]:.3f}, RGB zeroed {shares[2]:.3f}; forms {counts}")
    torch.testing.assert_close(frozen.logits, answer.logits, atol=1e-4, rtol=1e-4)
    assert shares[0] >= 0.98
    assert shares[1] <= 0.35
    assert 0.40 <= shares[2] <= 0.60

"""Trains a TA-SNN on clips: Adam, cosine, squared error of firing rates; the best epoch on validation is kept.

The loss and its reading are those of Yao et al., ICCV 2021; augmentation and schedule are the recipe's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from operators.learn.augment import epoch as draw_epoch
from operators.learn.checkpoint import keep, restore
from operators.learn.clips import Clips
from operators.learn.recipe import Recipe
from operators.nets.stored import build
from operators.nets.ta_snn import TaSnn

F32 = NDArray[np.float32]


class Epoch(msgspec.Struct, frozen=True):
    """One line of the log, after an epoch.

    `loss` and `train_accuracy` are means over the epoch's windows, `validation` the share of its windows answered
    right. `busy_score`, `quiet_score`: attention on the busiest and the quietest frames of windows. `firing`: spikes
    per neuron and step of each layer, in validation. `seconds` and `samples_per_s` tell of the machine alone.
    """

    epoch: int
    loss: float
    validation: float
    busy_score: float
    quiet_score: float
    train_accuracy: float = 0.0
    learning_rate: float = 0.0
    firing: tuple[float, ...] = ()
    seconds: float = 0.0
    samples_per_s: float = 0.0

    def told(self) -> str:
        """Firing rates by layer, and whether attention tells busy frames from quiet ones."""
        firing = " ".join(f"{rate:.2f}" for rate in self.firing)
        return (
            f"training {self.train_accuracy:.2%}"
            + (f", firing {firing}" if firing else "")
            + f", score of busy frames {self.busy_score:.2f}, of quiet ones {self.quiet_score:.2f}"
        )


class Trained(NamedTuple):
    """The network with its best epoch's weights, and the log of all epochs."""

    net: TaSnn
    log: list[Epoch]


class Check(NamedTuple):
    """What a network shows on fixed windows: see `Epoch` for the fields."""

    accuracy: float
    busy_score: float
    quiet_score: float
    firing: tuple[float, ...]


def train(
    recipe: Recipe,
    clips: Clips,
    validation: Clips,
    checkpoint: Path | None = None,
    resume: bool = False,
    say: Callable[[Epoch], None] = lambda _: None,
    device: str = "cpu",
) -> Trained:
    """Train a network from the recipe's seed. The same inputs give the same weights on the same machine and threads.

    With `checkpoint`, a folder, the state after each epoch is kept there, and `resume` goes on from it with the
    result that one long run would have had. Raises UsageError when it holds no state of the same recipe.
    """
    torch.manual_seed(recipe.seed)
    schedule = recipe.schedule
    net = build(recipe.network, len(clips.names), recipe.input.frames).to(device)
    # Channels last is 1.5 times as fast on CPUs; the numbers stay those of the same sums.
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(net.parameters(), schedule.learning_rate)
    windows, labels = _stack(validation, recipe)
    net.set_frame_statistics(*_frame_statistics(clips, recipe))
    log: list[Epoch] = []
    best = _copy(net)
    if resume:
        assert checkpoint is not None
        log, best, _ = restore(checkpoint, recipe, Epoch, net, optimizer)
    for number in range(len(log), schedule.epochs):
        if _is_stale(log, schedule.patience):
            break
        start = time.perf_counter()
        loss, right, samples = _run_epoch(net, optimizer, recipe, clips, number)
        seconds = time.perf_counter() - start
        check = assess(net, windows, labels)
        rate = optimizer.param_groups[0]["lr"]
        log.append(Epoch(number, loss, *check[:3], right / samples, rate, check.firing, seconds, samples / seconds))
        if check.accuracy >= max(line.validation for line in log):
            best = _copy(net)
        if checkpoint is not None:
            keep(checkpoint, recipe, log, net=net, optimizer=optimizer, best=best)
        say(log[-1])
    net.load_state_dict(best)
    return Trained(net.cpu().eval(), log)


def assess(net: TaSnn, windows: Tensor, labels: Tensor) -> Check:
    """What the network shows on windows [N, T, 2, H, W] with labels [N]."""
    net.eval()
    device = next(net.parameters()).device
    right, scores, firing = 0, [], []
    with torch.no_grad():
        for first in range(0, len(labels), 64):
            answer = net.answer(windows[first : first + 64].to(device), record=True)
            answered = answer.rates.cpu().max(1)
            right += int(((answered.indices == labels[first : first + 64]) & (answered.values > 0)).sum())
            scores.append(answer.scores.cpu())
            firing.append(answer.firing.cpu())
    means = windows.flatten(2).mean(2)
    attention = torch.cat(scores)
    busy = attention.gather(1, means.argmax(1, keepdim=True)).mean().item()
    quiet = attention.gather(1, means.argmin(1, keepdim=True)).mean().item()
    return Check(right / len(labels), busy, quiet, tuple(torch.cat(firing).mean(0).tolist()))


def _is_stale(log: list[Epoch], patience: int | None) -> bool:
    """Whether validation has not risen for `patience` epochs."""
    if patience is None or not log:
        return False
    values = [line.validation for line in log]
    return len(values) - 1 - values.index(max(values)) >= patience


def _copy(net: TaSnn) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def _run_epoch(
    net: TaSnn, optimizer: torch.optim.Optimizer, recipe: Recipe, clips: Clips, number: int
) -> tuple[float, int, int]:
    """One pass over the clips; returns (mean loss, windows answered right, windows)."""
    schedule = recipe.schedule
    device = next(net.parameters()).device
    rng = np.random.default_rng([recipe.seed, number])
    # Dropout's draws belong to the epoch, so that a resumed run repeats them.
    torch.manual_seed(int(rng.integers(2**31)))
    net.train()
    losses, right, samples = [], 0, 0
    steps = recipe.input.window_us // clips.step_us
    of_each = schedule.windows_of_each(len(clips.labels))
    batch = min(schedule.batch, len(clips.labels) * of_each)
    per_epoch = len(clips.labels) * of_each // batch
    batches = draw_epoch(clips, steps, recipe.input.frames, batch, of_each, recipe.augment, rng)
    for index, (drawn, drawn_labels) in enumerate(batches):
        done = (number + index / per_epoch) / schedule.epochs
        span = schedule.learning_rate - schedule.final_learning_rate
        for group in optimizer.param_groups:
            group["lr"] = schedule.final_learning_rate + span * 0.5 * (1 + math.cos(math.pi * done))
        labels = torch.from_numpy(drawn_labels).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=schedule.precision == "bfloat16"):
            rates = net(torch.from_numpy(drawn).to(device))
        wanted = nn.functional.one_hot(labels, rates.shape[1]).to(rates.dtype)
        loss = nn.functional.mse_loss(rates, wanted)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
        right += int((rates.argmax(1) == labels).sum())
        samples += len(labels)
    return float(np.mean(losses)), right, samples


def _stack(clips: Clips, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """The fixed windows of a split: float32 [N, T, 2, H, W], labels int64 [N]."""
    windows, labels = zip(*clips.windows(clips.windows_each(recipe.sampling, recipe.input), recipe.input), strict=True)
    return torch.from_numpy(np.stack(windows)), torch.tensor(labels)


def _frame_statistics(clips: Clips, recipe: Recipe) -> tuple[float, float]:
    """Mean and variance over frames of the mean count per entry, on one window of each clip."""
    means = np.concatenate([window.mean((1, 2, 3)) for window, _ in clips.windows(1, recipe.input)])
    return float(means.mean()), float(means.var())

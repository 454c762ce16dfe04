"""Trains a TA-SNN on clips: Adam, cosine, squared error of firing rates; the best epoch on validation is kept.

The loss and its reading are those of Yao et al., ICCV 2021; augmentation and schedule are the recipe's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from evpipe.errors import UsageError
from operators.learn.augment import epoch as draw_epoch
from operators.learn.clips import Clips
from operators.learn.recipe import Recipe
from operators.nets.ta_snn import NETWORKS, TaSnn

F32 = NDArray[np.float32]


class Epoch(msgspec.Struct, frozen=True):
    """One line of the log. `busy_score` and `quiet_score`: attention on the busiest and quietest frames of windows."""

    epoch: int
    loss: float
    validation: float
    busy_score: float
    quiet_score: float


class Trained(NamedTuple):
    """The network with its best epoch's weights, and the log of all epochs."""

    net: TaSnn
    log: list[Epoch]


def train(
    recipe: Recipe,
    clips: Clips,
    validation: Clips,
    checkpoint: Path | None = None,
    resume: bool = False,
    say: Callable[[Epoch], None] = lambda _: None,
) -> Trained:
    """Train a network from the recipe's seed. The same inputs give the same weights on the same machine and threads.

    With `checkpoint`, a folder, the state after each epoch is kept there, and `resume` goes on from it with the
    result that one long run would have had. Raises UsageError when it holds no state of the same recipe.
    """
    torch.manual_seed(recipe.seed)
    layout, schedule = recipe.input, recipe.schedule
    net = NETWORKS[recipe.network](len(clips.names), layout.frames, recipe.attention, recipe.reduction)
    # Channels last is 1.5 times as fast on CPUs; the numbers stay those of the same sums.
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(net.parameters(), schedule.learning_rate)
    check = _stack(validation, recipe)
    net.set_frame_statistics(*_frame_statistics(clips, recipe))
    log: list[Epoch] = []
    best = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    if resume:
        assert checkpoint is not None
        log, best = _restore(checkpoint, recipe, net, optimizer)
    for number in range(len(log), schedule.epochs):
        rng = np.random.default_rng([recipe.seed, number])
        loss = _run_epoch(net, optimizer, recipe, clips, number, rng)
        accuracy, busy, quiet = assess(net, *check)
        log.append(Epoch(number, loss, accuracy, busy, quiet))
        if accuracy >= max(line.validation for line in log):
            best = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        if checkpoint is not None:
            _keep(checkpoint, recipe, net, optimizer, best, log)
        say(log[-1])
    net.load_state_dict(best)
    return Trained(net.eval(), log)


def assess(net: TaSnn, windows: Tensor, labels: Tensor) -> tuple[float, float, float]:
    """Accuracy on windows [N, T, 2, H, W], then the mean score of their busiest and of their quietest frames."""
    net.eval()
    right, scores = 0, []
    with torch.no_grad():
        for first in range(0, len(labels), 64):
            rates, attention = net.answer(windows[first : first + 64])
            answered = rates.max(1)
            right += int(((answered.indices == labels[first : first + 64]) & (answered.values > 0)).sum())
            scores.append(attention)
    means = windows.flatten(2).mean(2)
    attention = torch.cat(scores)
    busy = attention.gather(1, means.argmax(1, keepdim=True)).mean().item()
    quiet = attention.gather(1, means.argmin(1, keepdim=True)).mean().item()
    return right / len(labels), busy, quiet


def _run_epoch(
    net: TaSnn,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    clips: Clips,
    number: int,
    rng: np.random.Generator,
) -> float:
    """One pass over the clips; returns the mean loss."""
    schedule = recipe.schedule
    net.train()
    losses = []
    steps = recipe.input.window_us // clips.step_us
    per_epoch = max(1, len(clips.labels) * schedule.windows_per_clip // schedule.batch)
    batches = draw_epoch(
        clips, steps, recipe.input.frames, schedule.batch, schedule.windows_per_clip, recipe.augment, rng
    )
    for index, (windows, labels) in enumerate(batches):
        done = (number + index / per_epoch) / schedule.epochs
        span = schedule.learning_rate - schedule.final_learning_rate
        for group in optimizer.param_groups:
            group["lr"] = schedule.final_learning_rate + span * 0.5 * (1 + math.cos(math.pi * done))
        rates = net(torch.from_numpy(windows))
        wanted = nn.functional.one_hot(torch.from_numpy(labels), rates.shape[1]).to(rates.dtype)
        loss = nn.functional.mse_loss(rates, wanted)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    if not losses:
        raise UsageError(f"{len(clips.labels)} clips do not fill one batch of {schedule.batch}: lower schedule.batch")
    return float(np.mean(losses))


def _stack(clips: Clips, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """The fixed windows of a split: float32 [N, T, 2, H, W], labels int64 [N]."""
    windows, labels = zip(*clips.windows(recipe.data.windows_per_clip, recipe.input), strict=True)
    return torch.from_numpy(np.stack(windows)), torch.tensor(labels)


def _frame_statistics(clips: Clips, recipe: Recipe) -> tuple[float, float]:
    """Mean and variance over frames of the mean count per entry, on one window of each clip."""
    means = np.concatenate([window.mean((1, 2, 3)) for window, _ in clips.windows(1, recipe.input)])
    return float(means.mean()), float(means.var())


def _keep(
    folder: Path,
    recipe: Recipe,
    net: TaSnn,
    optimizer: torch.optim.Optimizer,
    best: dict[str, Tensor],
    log: list[Epoch],
) -> None:
    """Write the state after an epoch; the log goes last, by a rename, and vouches for the rest."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{index}.{name}": tensor for name, tensor in state.items()}
    arrays = folder / f"epoch{len(log)}.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, arrays)
    text = msgspec.json.encode({"recipe": recipe, "arrays": arrays.name, "log": log})
    (folder / "log.json.new").write_bytes(text)
    (folder / "log.json.new").rename(folder / "log.json")
    for old in folder.glob("epoch*.safetensors"):
        if old != arrays:
            old.unlink()


def _restore(
    folder: Path, recipe: Recipe, net: TaSnn, optimizer: torch.optim.Optimizer
) -> tuple[list[Epoch], dict[str, Tensor]]:
    """Bring network and optimizer to the state kept; returns the log and the best weights so far."""
    from safetensors.torch import load_file

    kept = folder / "log.json"
    if not kept.is_file():
        raise UsageError(f"{folder}: nothing to resume: no log.json; train without --resume")
    about = json.loads(kept.read_text(encoding="utf-8"))
    if about["recipe"] != json.loads(msgspec.json.encode(recipe)):
        raise UsageError(f"{folder}: was made by another recipe or seed; train without --resume")
    tensors = load_file(folder / about["arrays"])

    def part(prefix: str) -> dict[str, Tensor]:
        return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}

    net.load_state_dict(part("net."))
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in part("adam.").items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return msgspec.convert(about["log"], list[Epoch]), part("best.")

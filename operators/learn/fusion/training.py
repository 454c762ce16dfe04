"""Trains a fusion network on pairs drawn from clips: AdamW, cross entropy of every pair; the best epoch is kept.

Routes are drawn with Gumbel noise; pairs lose one modality now and then, as they do live. The schedule is the recipe's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from operators.learn.checkpoint import keep, restore
from operators.learn.fusion.answers import answer, by_condition, counts_of, decisions
from operators.learn.fusion.batches import Batch
from operators.learn.fusion.batches import epoch as draw_epoch
from operators.learn.fusion.pairs import PairClips
from operators.learn.fusion.recipe import FusionRecipe, Schedule
from operators.nets.mmhco import Mmhco
from operators.nets.routing import temperature


class Epoch(msgspec.Struct, frozen=True):
    """One line of the log, after an epoch.

    `loss` and `train_accuracy` are means over the epoch's pairs; `validation` is the share of clips answered right,
    the mean over the conditions there are, and `conditions` the shares one by one. `forms`: how often each block took
    each form on the validation pairs. `seconds` and `samples_per_s`, pairs trained on, tell of the machine alone.
    """

    epoch: int
    loss: float
    validation: float
    train_accuracy: float = 0.0
    learning_rate: float = 0.0
    conditions: dict[str, float] = {}
    forms: tuple[tuple[int, ...], ...] = ()
    seconds: float = 0.0
    samples_per_s: float = 0.0

    def told(self) -> str:
        """Accuracy on the pairs of training and by condition, and the forms taken."""
        words = [f"training {self.train_accuracy:.2%}"]
        if len(self.conditions) > 1:
            words.append(", ".join(f"{name} {share:.1%}" for name, share in self.conditions.items()))
        if self.forms:
            words.append("forms " + " ".join("/".join(str(n) for n in block) for block in self.forms))
        return ", ".join(words)


class Trained(NamedTuple):
    """The network with its best epoch's weights, in eval mode, and the log of all epochs."""

    net: Mmhco
    log: list[Epoch]


class Check(NamedTuple):
    """What a network shows on all pairs of clips: see `Epoch` for the fields."""

    accuracy: float
    conditions: dict[str, float]
    forms: tuple[tuple[int, ...], ...]


def train(
    recipe: FusionRecipe,
    pairs: PairClips,
    validation: PairClips,
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
    net = Mmhco(recipe.network, len(pairs.names)).to(device)
    # Fused is the same arithmetic in one loop; parameter by parameter it takes a tenth of a step.
    optimizer = torch.optim.AdamW(groups(net, schedule.weight_decay), schedule.learning_rate, fused=True)
    log: list[Epoch] = []
    best = _copy(net)
    if resume:
        assert checkpoint is not None
        log, best, _ = restore(checkpoint, recipe, Epoch, net, optimizer)
    for number in range(len(log), schedule.epochs):
        if _is_stale(log, schedule.patience):
            break
        start = time.perf_counter()
        loss, right, samples = _run_epoch(net, optimizer, recipe, pairs, number)
        seconds = time.perf_counter() - start
        check = assess(net, validation)
        rate = optimizer.param_groups[0]["lr"]
        log.append(
            Epoch(
                number, loss, check.accuracy, right / samples, rate, check.conditions, check.forms, seconds,
                samples / seconds,
            )
        )  # fmt: skip
        if check.accuracy >= max(line.validation for line in log):
            best = _copy(net)
        if checkpoint is not None:
            keep(checkpoint, recipe, log, net=net, optimizer=optimizer, best=best)
        say(log[-1])
    net.load_state_dict(best)
    net.route_force = recipe.network.route_force
    return Trained(net.cpu().eval(), log)


def assess(net: Mmhco, clips: PairClips) -> Check:
    """How the network, as it will run live, answers clips by the mean of their pairs' logits."""
    net.eval()
    frozen = net.frozen()
    frozen.route_force = net.network.route_force
    found = answer(frozen, clips)
    shares = by_condition(decisions(found.logits).argmax(1) == clips.labels, clips)
    forms = counts_of(found.routes) if net.network.modalities == "both" else ()
    return Check(float(np.mean(list(shares.values()))), shares, forms)


def groups(net: Mmhco, weight_decay: float) -> list[dict[str, Any]]:
    """All parameters for the optimizer, those of norms, biases, scales and embeddings without decay."""
    decayed = {
        id(module.weight) for module in net.modules() if isinstance(module, (nn.Linear, nn.Conv2d))
    }  # fmt: skip
    parts: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])
    for parameter in net.parameters():
        parts[id(parameter) not in decayed].append(parameter)
    return [{"params": parts[0], "weight_decay": weight_decay}, {"params": parts[1], "weight_decay": 0.0}]


def learning_rate(schedule: Schedule, done: float) -> float:
    """The rate when a share `done` of all steps is behind: a straight rise from a 25th, then a cosine down."""
    if done < schedule.warm_up:
        return schedule.learning_rate * (0.04 + 0.96 * done / schedule.warm_up)
    share = (done - schedule.warm_up) / (1 - schedule.warm_up)
    span = schedule.learning_rate - schedule.final_learning_rate
    return schedule.final_learning_rate + span * 0.5 * (1 + math.cos(math.pi * share))


def _run_epoch(
    net: Mmhco, optimizer: torch.optim.Optimizer, recipe: FusionRecipe, pairs: PairClips, number: int
) -> tuple[float, int, int]:
    """One pass over the clips; returns (mean loss, pairs answered right, pairs)."""
    schedule, network = recipe.schedule, recipe.network
    device = next(net.parameters()).device
    rng = np.random.default_rng([recipe.seed, number])
    # What torch draws (routes, dropout, depth) belongs to the epoch, so that a resumed run repeats it.
    torch.manual_seed(int(rng.integers(2**31)))
    net.train()
    draws = schedule.draws_of_each(len(pairs.labels))
    batch = min(schedule.batch, len(pairs.labels) * draws)
    per_epoch = len(pairs.labels) * draws // batch
    steps = per_epoch * schedule.epochs
    cooling = math.log(schedule.route_tau / schedule.route_tau_min) / max(1, steps - 1)
    losses, right, samples = [], 0, 0
    drawn = draw_epoch(pairs, batch, draws, schedule.pairs_per_clip, recipe.augment, network.modalities, rng)
    for step, given in enumerate(drawn, number * per_epoch):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(schedule, step / steps)
        warming = network.modalities == "both" and step < schedule.route_warm_up * steps
        net.route_force = 0 if warming and network.route_force is None else network.route_force
        net.tau = temperature(step, schedule.route_tau, schedule.route_tau_min, cooling)
        with torch.autocast(device.type, torch.bfloat16, enabled=schedule.precision == "bfloat16"):
            logits, uneven = _forward(net, Batch(*(part.to(device) for part in given)), schedule.balance)
        labels = given.labels.to(device)
        loss = cross_entropy(logits.float(), labels, label_smoothing=schedule.label_smoothing)
        total = loss + schedule.balance * uneven
        optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), schedule.clip_norm)
        optimizer.step()
        losses.append(loss.item())
        right += int((logits.argmax(1) == labels).sum())
        samples += len(labels)
    return float(np.mean(losses)), right, samples


def _forward(net: Mmhco, batch: Batch, balance: float) -> tuple[Tensor, Tensor]:
    """Logits of pairs, and how uneven their routes are (0 where that is not asked for)."""
    if balance == 0:
        logits = net.pair_logits(batch.rgb, batch.events, batch.valid).logits
        return logits, logits.new_zeros(())
    answered = net.clip(*(part[:, None] for part in batch[:3]))
    return answered.logits, answered.imbalance


def _is_stale(log: list[Epoch], patience: int | None) -> bool:
    """Whether validation has not risen for `patience` epochs."""
    if patience is None or not log:
        return False
    values = [line.validation for line in log]
    return len(values) - 1 - values.index(max(values)) >= patience


def _copy(net: Mmhco) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}

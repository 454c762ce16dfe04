"""Trains a detector on clips of bins with boxes: AdamW, warm-up, cosine; an average of the weights is kept.

Loss and assignment are those of EMS-YOLO (ICCV 2023). The last part of a training goes on from states that earlier
bins left, as a detector that runs on and on meets them; of it comes the epoch that is kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from operators.detection.coco import Picture
from operators.detection.decode import Thresholds
from operators.detection.ema import Ema
from operators.detection.loss import detection_loss, gains
from operators.detector_network import Anchors, Detector, anchors_of
from operators.learn import checkpoint as kept
from operators.learn.detector.answers import Firing, found_boxes, read, spread_moments, true_boxes
from operators.learn.detector.draw import batches
from operators.learn.detector.precision import average_precision_50
from operators.nets.ems_yolo import EmsYolo, State, folded
from operators.nets.relu_yolo import ReluYolo

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from operators.learn.detector.clips import BinClips
    from operators.learn.detector.recipe import DetectorRecipe

# Boxes below a score of 1 % move AP50 by less than its rounding, and would take most of validation's time.
VALIDATION = Thresholds(score=0.01, overlap=0.6, multi_label=True, candidates=500, boxes=100)


class Epoch(msgspec.Struct, frozen=True):
    """One line of the log, after an epoch.

    `loss` and its parts `box`, `objectness` and `label` are means over the epoch's windows; `positives` the pairs of an
    anchor and a box by window. `validation`: AP50 of the averaged weights on the validation windows, answered as in
    training: from rest, or, with `burn_in`, from the state that the clip so far has left. `firing`: spikes by neuron
    and step there. `seconds` and `samples_per_s` tell of the machine alone.
    """

    epoch: int
    loss: float
    validation: float
    box: float = 0.0
    objectness: float = 0.0
    label: float = 0.0
    positives: float = 0.0
    learning_rate: float = 0.0
    burn_in: bool = False
    firing: float = 0.0
    seconds: float = 0.0
    samples_per_s: float = 0.0

    def told(self) -> str:
        """What there is to say besides."""
        carried = ", states carried" if self.burn_in else ""
        return (
            f"AP50 in validation; box {self.box:.4f}, object {self.objectness:.4f}, class {self.label:.4f}, "
            f"{self.positives:.1f} positives a window, firing {self.firing:.3f}{carried}"
        )


class Trained(NamedTuple):
    """The network with its best epoch's averaged weights, the log of all epochs, and which of them is kept."""

    net: EmsYolo
    log: list[Epoch]
    best: Epoch


class Check(NamedTuple):
    """What a network shows on fixed windows."""

    ap50: float
    firing: float


def network(recipe: DetectorRecipe, detector: Detector) -> EmsYolo:
    """The recipe's network with fresh weights from torch's global seed: spiking, or with ReLU."""
    return ReluYolo(detector) if recipe.network.units == "relu" else EmsYolo(detector)


def detector_of(recipe: DetectorRecipe, clips: BinClips) -> Detector:
    """The detector for the classes of the data; anchors that the recipe leaves open are fitted to its boxes."""
    anchors: Anchors | None = None
    if recipe.network.anchors is None:
        from operators.detection.fit_anchors import fit_anchors

        anchors = fit_anchors(clips.boxes["corners"][clips.learnable(recipe.sampling)], recipe.seed)
    return recipe.network.of(len(clips.names), anchors)


def train(
    recipe: DetectorRecipe,
    clips: BinClips,
    validation: BinClips,
    checkpoint: Path | None = None,
    resume: bool = False,
    say: Callable[[Epoch], None] = lambda _: None,
    device: str = "cpu",
    detector: Detector | None = None,
) -> Trained:
    """Train a network from the recipe's seed. The same inputs give the same weights on the same machine and threads.

    With `checkpoint`, a folder, the state after each epoch is kept there, and `resume` goes on from it with the
    result that one long run would have had. Raises UsageError when it holds no state of the same recipe.
    `detector`: in place of the one that recipe and clips give.
    """
    torch.set_flush_denormal(True)
    torch.manual_seed(recipe.seed)
    schedule = recipe.schedule
    net = network(recipe, detector or detector_of(recipe, clips)).to(device)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(_groups(net, schedule.weight_decay), schedule.learning_rate)
    average = Ema(net, schedule.ema_decay, schedule.ema_ramp)
    log: list[Epoch] = []
    best = _copy(average.model)
    if resume:
        assert checkpoint is not None
        restored = kept.restore(checkpoint, recipe, Epoch, net, optimizer)
        log, best = restored.log, restored.best
        average.model.load_state_dict(restored.extra)
        average.updates = len(log) * schedule.updates
    chosen, asked = clips.learnable(recipe.sampling), validation.learnable(recipe.sampling)
    for number in range(len(log), schedule.epochs):
        start = time.perf_counter()
        burn_in = number >= carried_from(recipe)
        means = _run_epoch(net, optimizer, average, recipe, clips, chosen, number, burn_in=burn_in)
        seconds = time.perf_counter() - start
        check = assess(average.model, recipe, validation, asked, carried=burn_in)
        rate = optimizer.param_groups[0]["lr"]
        samples = schedule.updates * schedule.batch
        line = Epoch(
            number, means[0], check.ap50, *means[1:], rate, burn_in, check.firing, seconds, samples / seconds
        )  # fmt: skip
        log.append(line)
        if kept_of(log) is line:
            best = _copy(average.model)
        if checkpoint is not None:
            extra = average.model.state_dict()
            kept.keep(checkpoint, recipe, log, net=net, optimizer=optimizer, best=best, extra=extra)
        say(line)
    net.load_state_dict(best)
    return Trained(net.cpu().eval(), log, kept_of(log))


def carried_from(recipe: DetectorRecipe) -> int:
    """The epoch from which on windows begin in carried states; the number of epochs where none does."""
    epochs, share = recipe.schedule.epochs, recipe.schedule.burn_in
    return epochs - (max(1, round(share * epochs)) if share > 0 else 0)


def kept_of(log: Sequence[Epoch]) -> Epoch:
    """The epoch kept: the best on validation, the last of equals, of those with carried states where there are any."""
    return max(log, key=lambda line: (line.burn_in, line.validation, line.epoch))


def assess(net: EmsYolo, recipe: DetectorRecipe, clips: BinClips, asked: NDArray[np.bool_], *, carried: bool) -> Check:
    """AP50 on the windows of validation, and how much the neurons fire there. `asked` marks the boxes to be found.

    With `carried` the state comes from all bins of the clip so far, else every window starts from rest.
    """
    seen: list[Picture] = []
    firing, lean = Firing(), folded(net)
    moments = spread_moments(clips, recipe.input.bins, recipe.sampling.windows_per_clip)
    for answer in read(lean, recipe.input.bins, clips, moments, firing, carried=carried):
        rows = slice(clips.first[answer.clip, answer.last], clips.first[answer.clip, answer.last + 1])
        truth = true_boxes(clips.boxes[rows][asked[rows]], clips.letterbox)
        seen.append(Picture(truth, found_boxes(answer, net, VALIDATION, clips.letterbox)))
    rates = firing.rates()
    return Check(average_precision_50(seen, len(clips.names)), float(np.mean(rates)) if rates else 0.0)


def _run_epoch(
    net: EmsYolo,
    optimizer: torch.optim.Optimizer,
    average: Ema[EmsYolo],
    recipe: DetectorRecipe,
    clips: BinClips,
    chosen: NDArray[np.bool_],
    number: int,
    *,
    burn_in: bool,
) -> tuple[float, float, float, float, float]:
    """One epoch; returns means over its windows: loss, its three parts, positives."""
    schedule = recipe.schedule
    device = next(net.parameters()).device
    rng = np.random.default_rng([recipe.seed, number])
    anchors, weights = anchors_of(net.detector), gains(net.detector.classes)
    told = np.zeros(5)
    for index, drawn in enumerate(batches(clips, chosen, recipe, rng, burn_in=burn_in)):
        _set_rate(optimizer, recipe, number * schedule.updates + index)
        x = torch.from_numpy(drawn.bins).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=schedule.precision == "bfloat16"):
            state = _burnt_in(net, x[: drawn.burn_in])
            raw4, raw5, _ = net.run(x[drawn.burn_in :], state)
        raws = (net.read_out(raw4.float()), net.read_out(raw5.float()))
        loss = detection_loss(raws, drawn.targets, anchors, weights)
        optimizer.zero_grad()
        loss.total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), schedule.gradient_norm)
        optimizer.step()
        average.update(net)
        told += [
            loss.total.item() / schedule.batch, loss.box, loss.objectness, loss.label,
            loss.positives / schedule.batch,
        ]  # fmt: skip
    total, box, objectness, label, positives = (told / schedule.updates).tolist()
    return total, box, objectness, label, positives


def _burnt_in(net: EmsYolo, x: Tensor) -> State | None:
    """The state that bins [B, N, 2, H, W] leave, without gradient, norms in eval mode; leaves the network training."""
    state = None
    if len(x):
        net.eval()
        with torch.no_grad():
            _, _, state = net.run(x)
    net.train()
    return state


def _set_rate(optimizer: torch.optim.Optimizer, recipe: DetectorRecipe, update: int) -> None:
    """Warm-up in a straight line, then half a cosine."""
    schedule = recipe.schedule
    total = schedule.epochs * schedule.updates
    warm_up = min(schedule.warm_up, total - 1)
    if update < warm_up:
        rate = schedule.learning_rate * (update + 1) / warm_up
    else:
        done = (update - warm_up) / (total - warm_up)
        span = schedule.learning_rate - schedule.final_learning_rate
        rate = schedule.final_learning_rate + span * 0.5 * (1 + math.cos(math.pi * done))
    for group in optimizer.param_groups:
        group["lr"] = rate


def _groups(net: nn.Module, decay: float) -> list[dict[str, object]]:
    """Parameters that decay, which are the convolutions' weights, and the rest: norms and biases."""
    weights = [p for p in net.parameters() if p.dim() > 1]
    others = [p for p in net.parameters() if p.dim() <= 1]
    return [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def _copy(net: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}

"""Speed of spiking networks here: a streaming step and a window on every engine, and training, beside what others take.

Candidates take turns, so that a machine that slows down slows down all of them; figures are medians with their spread.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise

import msgspec
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, linear, mse_loss

from evpipe.packets import F32
from operators.engines.choice import installed, make
from operators.nets.lif import LIF
from operators.nets.ta_snn import Block, TaSnn
from operators.network import Neuron
from operators.streaming.causal import Causal
from operators.streaming.window import Windows

SIZE = (32, 32)
CHANNELS = (2, 32, 64, 128)
HIDDEN, CLASSES = 256, 11
FRAMES, BATCH = 16, 16
NEURON = Neuron(threshold=0.3, decay=0.5)
NETWORK = (
    "frames 2x32x32, conv 2-32-64-128 (3x3, batch norm, average pool 2), dense 2048-256-11 (batch norm), "
    "LIF of threshold 0.3 and decay 0.5 after each, no attention"
)
STEPS_A_TURN = 10
BUSY = 0.3  # load by core from which on other work takes turns with ours
PEER = "spikingjelly"


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds over all turns: median, 10th and 90th percentile.

    `times_faster`: median of the turns' ratios of the peer's time to this one (None without the peer).
    """

    name: str
    median_ms: float
    p10_ms: float
    p90_ms: float
    times_faster: float | None = None


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """Samples per second of forward, backward and Adam: of the median turn, of the 90th and the 10th percentile."""

    name: str
    median: float
    low: float
    high: float
    times_faster: float | None = None


class Spiking(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of one run.

    `firing`: outputs per neuron and step of each layer; `active_inputs`: share of a frame's entries that are not 0.
    `step`, `window`: milliseconds of one of each. `load`: the machine's load before and after, this run's own included.
    """

    network: str
    threads: int
    turns: int
    firing: tuple[float, ...]
    active_inputs: float
    step: tuple[Timing, ...]
    window: tuple[Timing, ...]
    training: tuple[Training, ...]
    load: tuple[float, float]
    notes: tuple[str, ...]


def run(threads: int, turns: int, *, peers: bool, progress: Callable[[int, int], None] = lambda *_: None) -> Spiking:
    """Measure on `threads` compute threads, every candidate once in each of `turns` turns; the peer where it is there.

    `progress` hears of turns done, of how many.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    load = os.getloadavg()[0]
    try:
        frames = stream(64)
        net = network(frames)
        notes = [] if load < BUSY * (os.cpu_count() or 1) else [_busy(load)]
        with_peer = peers and importlib.util.find_spec(PEER) is not None
        if peers and not with_peer:
            notes.append(f"{PEER} is not installed, so there is nothing to compare with: pip install {PEER}")
        steps = _interleaved(_steppers(net, frames, threads, peer=with_peer), turns, lambda n: progress(n, 3 * turns))
        whole = _interleaved(_deciders(net, frames, threads), turns, lambda n: progress(turns + n, 3 * turns))
        learned = _interleaved(_trainers(frames, peer=with_peer), turns, lambda n: progress(2 * turns + n, 3 * turns))
        with torch.no_grad():
            firing = net.answer(_windows(frames), record=True).firing.mean(0).tolist()
    finally:
        torch.set_num_threads(before)
    peer = next((times for name, times in steps.items() if name.startswith(PEER)), None)
    slower = next((times for name, times in learned.items() if name.startswith(PEER)), None)
    return Spiking(
        network=NETWORK,
        threads=threads,
        turns=turns,
        firing=tuple(round(rate, 3) for rate in firing),
        active_inputs=round(float(np.count_nonzero(frames) / frames.size), 3),
        step=tuple(_timing(name, times, peer, STEPS_A_TURN) for name, times in steps.items()),
        window=tuple(_timing(name, times, None) for name, times in whole.items()),
        training=tuple(_training(name, times, slower) for name, times in learned.items()),
        load=(round(load, 2), round(os.getloadavg()[0], 2)),
        notes=tuple(notes),
    )


def stream(count: int, seed: int = 0) -> F32:
    """Counts [count, 2, H, W] of made-up frames, a tenth to a fifth of their entries not 0, busy and quiet ones."""
    rng = np.random.default_rng(seed)
    rates = rng.random((count, 1, *SIZE)) ** 4 * rng.random((count, 1, 1, 1))
    return rng.poisson(np.broadcast_to(rates, (count, 2, *SIZE))).astype(np.float32)


def network(frames: F32) -> TaSnn:
    """The network, untrained, whose batch norms have seen the frames: so its neurons fire as trained ones do."""
    torch.manual_seed(0)
    net = TaSnn(None, blocks()).train()
    for block in net.layers():
        block.norm.momentum = 0.5
    with torch.no_grad():
        for _ in range(6):
            net(_windows(frames))
    return net.eval()


def blocks() -> list[Block]:
    """The layers of `NETWORK`, with fresh weights."""
    convolutions = [
        Block(nn.Conv2d(inputs, outputs, 3, padding=1), LIF(NEURON), pool=2) for inputs, outputs in pairwise(CHANNELS)
    ]
    pixels = SIZE[0] * SIZE[1] // 4 ** len(convolutions)
    dense = [(CHANNELS[-1] * pixels, HIDDEN), (HIDDEN, CLASSES)]
    return [*convolutions, *(Block(nn.Linear(inputs, outputs), LIF(NEURON)) for inputs, outputs in dense)]


def _windows(frames: F32) -> Tensor:
    return torch.from_numpy(frames).unflatten(0, (-1, FRAMES))  # type: ignore[no-untyped-call,no-any-return]


def _steppers(net: TaSnn, frames: F32, threads: int, *, peer: bool) -> dict[str, Callable[[], None]]:
    """What takes `STEPS_A_TURN` streaming steps, by name."""
    candidates: dict[str, Callable[[], None]] = {}
    for name in installed():
        causal = Causal(net, make(name, net, SIZE, FRAMES, threads), FRAMES)
        candidates[f"evpipe {name}"] = lambda causal=causal: _steps(frames, causal)  # type: ignore[misc]
    candidates["torch, the layers without neurons"] = _layers_alone(net, frames)
    if peer:
        from operators.bench.spikingjelly import stepper

        candidates[f"{PEER}"] = stepper(net, frames, STEPS_A_TURN)
    return candidates


def _steps(frames: F32, causal: Causal) -> None:
    for frame in frames[:STEPS_A_TURN]:
        causal.step(frame)
        causal.decide()


def _deciders(net: TaSnn, frames: F32, threads: int) -> dict[str, Callable[[], None]]:
    """What decides on one window whose frames were never seen, by name."""

    def decide(windows: Windows) -> None:
        windows.reset()
        windows.decide(list(range(FRAMES)), frames[:FRAMES])

    engines = {name: Windows(net, make(name, net, SIZE, FRAMES, threads)) for name in installed()}
    return {f"evpipe {name}": partial(decide, windows) for name, windows in engines.items()}


def _layers_alone(net: TaSnn, frames: F32) -> Callable[[], None]:
    """Convolutions with folded batch norms, pooling and products, channels last: what any dense engine computes."""
    folded = [tuple(tensor.detach() for tensor in block.folded()) for block in net.layers()]
    pools = [block.linear.weight.dim() == 4 for block in net.layers()]
    inputs = torch.from_numpy(frames).contiguous(memory_format=torch.channels_last)

    def steps() -> None:
        with torch.inference_mode():
            for frame in inputs[:STEPS_A_TURN]:
                x = frame[None]
                for (weights, constant), pooled in zip(folded, pools, strict=True):
                    if pooled:
                        x = avg_pool2d(conv2d(x, weights, constant, padding=1), 2)
                    else:
                        x = linear(x.flatten(1), weights, constant)

    return steps


def _trainers(frames: F32, *, peer: bool) -> dict[str, Callable[[], None]]:
    """What makes one training step on a batch, by name; all from the same weights."""
    torch.manual_seed(1)
    net = TaSnn(None, blocks()).train()
    windows = _windows(np.resize(frames, (BATCH * FRAMES, *frames.shape[1:])))
    truth = nn.functional.one_hot(torch.arange(BATCH) % CLASSES, CLASSES).float()
    candidates: dict[str, Callable[[], None]] = {}
    if peer:
        from operators.bench.spikingjelly import multi_step

        candidates[f"{PEER} (torch, multi-step)"] = _training_step(multi_step(net), windows, truth)
    candidates["evpipe"] = _training_step(net, windows, truth)
    return candidates


def _training_step(net: nn.Module, windows: Tensor, truth: Tensor) -> Callable[[], None]:
    """Forward, mean squared error of the rates, backward and Adam, once a call."""
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)

    def step() -> None:
        optimiser.zero_grad()
        mse_loss(net(windows), truth).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step


def _interleaved(
    candidates: Mapping[str, Callable[[], None]], turns: int, done: Callable[[int], None]
) -> dict[str, F32]:
    """Milliseconds [turns] of each candidate, all of them once a turn; two turns before the first are not counted."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(-2, turns):
        for name, candidate in candidates.items():
            began = time.perf_counter()
            candidate()
            if turn >= 0:
                times[name].append(1e3 * (time.perf_counter() - began))
        done(max(0, turn + 1))
    return {name: np.array(found, np.float32) for name, found in times.items()}


def _timing(name: str, times: F32, peer: F32 | None, steps: int = 1) -> Timing:
    low, median, high = (np.percentile(times, [10, 50, 90]) / steps).round(4).tolist()
    return Timing(name=name, median_ms=median, p10_ms=low, p90_ms=high, times_faster=_ratio(peer, times))


def _training(name: str, times: F32, peer: F32 | None) -> Training:
    low, median, high = (1e3 * BATCH / np.percentile(times, [90, 50, 10])).round(1).tolist()
    return Training(name=name, median=median, low=low, high=high, times_faster=_ratio(peer, times))


def _busy(load: float) -> str:
    return (
        f"the machine was busy before the run began (load {load:.2f} on {os.cpu_count()} cores): what waits for "
        "all its threads loses most by that, so repeat this when the machine is quiet"
    )


def _ratio(peer: F32 | None, times: F32) -> float | None:
    return None if peer is None else round(float(np.median(peer / times)), 2)

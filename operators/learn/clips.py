"""Clips of labelled actions as counts in fine steps of time, kept on disk so that a run draws windows from them."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from evpipe.errors import UsageError
from evpipe.packets import Events
from operators.learn.recipe import Data, Split
from operators.model_card import Input


class Clips(NamedTuple):
    """`counts` uint16 [N, S, 2, H, W]: N clips of S steps of `step_us` (65535 stands for as many events or more).

    `labels` int64 [N] index `names`.
    """

    counts: NDArray[np.uint16]
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    step_us: int

    def windows(self, per_clip: int, layout: Input) -> Iterator[tuple[NDArray[np.float32], int]]:
        """Windows evenly spread over each clip with their labels: float32 [T, 2, H, W]."""
        steps = layout.window_us // self.step_us
        starts = np.linspace(0, self.counts.shape[1] - steps, per_clip).astype(int)
        for clip, label in zip(self.counts, self.labels, strict=True):
            for start in starts:
                yield frames(clip[start : start + steps], layout.frames), int(label)


def frames(steps: NDArray[np.uint16], count: int) -> NDArray[np.float32]:
    """Counts in steps [S, 2, H, W] -> counts in `count` frames, float32."""
    summed: NDArray[np.float32] = steps.reshape(count, -1, *steps.shape[1:]).sum(1, dtype=np.float32)
    return summed


def count_steps(events: Events, step_us: int, steps: int, size: tuple[int, int]) -> NDArray[np.uint16]:
    """Counts uint16 [S, 2, H, W] of a clip's events in `steps` steps from its t0_us on."""
    from operators.kernels.bin import add_counts, letterbox

    columns, rows = letterbox((events.height, events.width), size)
    counts = np.zeros((steps, 2, size[0] * size[1]), np.int32)
    borders = np.searchsorted(events.t, events.t0_us + step_us * np.arange(steps + 1, dtype=np.int64))
    for step, (i, j) in enumerate(pairwise(borders)):
        x, y, p = (np.ascontiguousarray(column[i:j]) for column in (events.x, events.y, events.p))
        add_counts(x, y, p, columns, rows, counts[step])
    return counts.clip(max=65535).astype(np.uint16).reshape(steps, 2, *size)


def load(folder: Path, split: Split) -> Clips:
    """Clips kept in a folder by `simulate`. Raises UsageError when there are none."""
    index = folder / f"{split}.json"
    if not index.is_file():
        raise UsageError(f"{folder}: no {split}.json; `evpipe train` keeps clips in the data folder of its --out")
    about = json.loads(index.read_text(encoding="utf-8"))
    counts = np.load(folder / f"{split}.npy", mmap_mode="r")
    return Clips(counts, np.array(about["labels"], np.int64), tuple(about["names"]), about["step_us"])


def simulate(
    folder: Path,
    split: Split,
    data: Data,
    layout: Input,
    jobs: int = 1,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Clips:
    """The simulator's clips of one split, from `folder` when they are there already.

    They are made anew when the recipe's data, the input's layout or the simulator's source has changed. Clips are
    kept in order of subject, action and seed; `jobs` processes make them, which changes nothing in them. `progress`
    hears of clips done, of how many.
    """
    from sensors.scenes.actions import ACTIONS

    key = _key(data, layout, split)
    index = folder / f"{split}.json"
    if index.is_file() and json.loads(index.read_text(encoding="utf-8")).get("key") == key:
        return load(folder, split)
    people = data.people(split)
    cases = [
        (subject, name, seed)
        for subject in range(*people.subjects)
        for name in ACTIONS
        for seed in range(*people.seeds)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    index.unlink(missing_ok=True)
    steps = data.clip_us // data.step_us
    counts: Any = np.lib.format.open_memmap(
        folder / f"{split}.npy", "w+", np.uint16, (len(cases), steps, 2, *layout.size)
    )
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) if jobs > 1 else nullcontext() as pool:
        made = (pool.map if pool else map)(partial(_clip, data=data, layout=layout), cases)
        for number, clip in enumerate(made):
            counts[number] = clip
            progress(number + 1, len(cases))
    counts.flush()
    labels = [ACTIONS.index(name) for _, name, _ in cases]
    about = {"key": key, "step_us": data.step_us, "names": ACTIONS, "labels": labels}
    index.write_text(json.dumps(about), encoding="utf-8")
    return load(folder, split)


def _clip(case: tuple[int, str, int], data: Data, layout: Input) -> NDArray[np.uint16]:
    """One simulated clip: (subject, action, clip seed) -> counts [S, 2, H, W]."""
    from sensors.simulated import clip_events

    events = clip_events(*case, data.clip_us, size=layout.sensor)
    return count_steps(events, data.step_us, data.clip_us // data.step_us, layout.size)


def _key(data: Data, layout: Input, split: Split) -> str:
    """Digest of all that the clips of a split depend on, the simulator's source included."""
    import operators.kernels.bin
    import sensors.kernels.pixel
    import sensors.kernels.raster
    import sensors.scenes
    import sensors.simulated

    modules = (operators.kernels.bin, sensors.kernels.pixel, sensors.kernels.raster, sensors.simulated)
    sources = [Path(str(module.__file__)) for module in modules]
    digest = hashlib.sha256(msgspec.json.encode((data.clip_us, data.step_us, data.people(split), layout)))
    for source in [*sources, *sorted(Path(sensors.scenes.__file__).parent.glob("*.py"))]:
        digest.update(source.read_bytes())
    return digest.hexdigest()

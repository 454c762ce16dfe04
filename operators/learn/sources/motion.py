"""Clips of recorded human motion done by simulated people: what a model says of people who do not move like ours.

The motions test a model and are not learnt from, so there is a test split only.
"""

from __future__ import annotations

import hashlib
import re
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evpipe.errors import UsageError
from operators.learn.recipe import Motion, Recipe, Split
from operators.learn.sources import Case, Cases
from operators.learn.sources.simulated import SENSOR

_SPAN = re.compile(r"(?P<file>.+)@(?P<from>\d+(\.\d+)?)-(?P<to>\d+(\.\d+)?)")


def cases(recipe: Recipe, split: Split) -> Cases:
    """The clips of the test split: every seed of every file, in that order, each a recording of its own.

    A file may be named with a span of its time in seconds, as in `walk.bvh@2.5-6`. Raises UsageError for another split,
    a file that is not there or a span outside it, and InputError for one that holds no person's motion.
    """
    import sensors.kernels.pixel
    import sensors.kernels.raster
    import sensors.motion
    import sensors.scenes
    import sensors.simulated
    from sensors.motion.files import cut, read

    data = recipe.data
    assert isinstance(data, Motion)
    if split != "test":
        raise UsageError("data: recorded motions test a model and are no data to train on; use `evpipe eval`")
    first, end = data.seeds
    if end <= first or not data.files:
        raise UsageError(f"data: {len(data.files)} files and seeds [{first}, {end}] give no clips; name some")
    sensor = recipe.input.sensor or SENSOR
    found, notes = [], []
    of = partial(_make, clip_us=data.clip_us, step_us=recipe.step_us, size=recipe.input.size, sensor=sensor)
    for name, label in data.files.items():
        path, span_s = _located(data.path, name)
        motion = read(path)
        if span_s is not None:
            cut(motion, span_s, f"data.files: {name}")
        notes += [f"{name}: {note}" for note in motion.notes]
        depends = _digest(path)
        found += [
            Case(label, f"{name}_seed{seed}", 1, depends, partial(of, path, span_s, seed)) for seed in range(first, end)
        ]
    modules = (sensors.kernels.pixel, sensors.kernels.raster, sensors.simulated)
    folders = (sensors.scenes, sensors.motion)
    code = (
        *(Path(str(module.__file__)) for module in modules),
        *(Path(str(module.__file__)).parent for module in folders),
    )
    names = tuple(sorted(set(data.files.values())))
    return Cases(found, names, sensor, data.clip_us // recipe.step_us, code, tuple(notes))


def _located(root: str, name: str) -> tuple[Path, tuple[float, float] | None]:
    """The file of a name, and its span in s if it has one."""
    span = _SPAN.fullmatch(name)
    path = Path(root).expanduser() / (span["file"] if span else name)
    if not path.is_file():
        raise UsageError(f"data.files: {name}: no file {path.absolute()}; name motion files below data.path")
    return path, (float(span["from"]), float(span["to"])) if span else None


def _digest(path: Path) -> str:
    """SHA-256 of a file, and of the skeletons beside an AMC file."""
    digest = hashlib.sha256(path.read_bytes())
    if path.suffix.lower() == ".amc":
        for skeleton in sorted(path.parent.glob("*.[aA][sS][fF]")):
            digest.update(skeleton.read_bytes())
    return digest.hexdigest()


def _make(
    path: Path,
    span_s: tuple[float, float] | None,
    seed: int,
    counts: NDArray[np.uint16],
    clip_us: int,
    step_us: int,
    size: tuple[int, int],
    sensor: tuple[int, int],
) -> list[str]:
    from operators.kernels.steps import count
    from sensors.motion import clip_events

    events = clip_events(path, seed, clip_us, size=sensor, span_s=span_s)
    count((events.t, events.x, events.y, events.p), 0, step_us, sensor, size, counts[0])
    return []

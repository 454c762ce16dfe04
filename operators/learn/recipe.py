"""What one training run is: network, input, data, schedule. The content of a file in configs/recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from evpipe.errors import UsageError
from operators.model_card import Count, Input
from operators.strict_yaml import read

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Span = tuple[Annotated[int, msgspec.Meta(ge=0)], Count]
Split = Literal["train", "validation", "test"]


class People(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Subjects and clip seeds of one split, both half-open ranges: every subject does every action once a seed."""

    subjects: Span
    seeds: Span


class Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Simulated clips of `clip_us`, counted in steps of `step_us`, which must divide a frame.

    `windows_per_clip` is how many windows, evenly spread over a clip, validation and test look at.
    """

    source: Literal["simulated"]
    clip_us: Count
    step_us: Count
    train: People
    validation: People
    test: People
    windows_per_clip: Count

    def people(self, split: Split) -> People:
        """Those of one split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[split]


class Augment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes to a training window besides its random place in the clip.

    `flip`: how often it is mirrored; `shift_px`: largest move of the picture in coarse pixels; `keep`: range of the
    share of events that stays; `noise`: most random events added per coarse pixel, polarity and frame.
    """

    flip: Share = 0.5
    shift_px: Annotated[int, msgspec.Meta(ge=0)] = 2
    keep: tuple[Share, Share] = (0.6, 1.0)
    noise: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Adam with a cosine from `learning_rate` to `final_learning_rate`; an epoch draws `windows_per_clip` of each."""

    epochs: Count
    batch: Count
    windows_per_clip: Count = 1
    learning_rate: Positive = 1e-3
    final_learning_rate: Positive = 1e-5


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole recipe."""

    evpipe_recipe: Literal[1]
    name: str
    about: str
    licence: str
    network: Literal["tiny_a", "tiny_b"]
    attention: dict[str, Literal["none", "se", "c2"]]
    reduction: Count
    input: Input
    data: Data
    augment: Augment
    schedule: Schedule
    seed: int = 0


def read_recipe(path: Path) -> Recipe:
    """The recipe of a file. Raises UsageError naming file, line, field, rule and value."""
    recipe = read(path, Recipe)
    frame_us, step_us = recipe.input.frame_us, recipe.data.step_us
    if recipe.input.window_us % recipe.input.frames:
        raise UsageError(f"{path}: input: window_us {recipe.input.window_us} is no multiple of frames")
    if frame_us % step_us:
        raise UsageError(f"{path}: data.step_us is {step_us}; it must divide a frame of {frame_us} us")
    if recipe.data.clip_us % step_us or recipe.data.clip_us < recipe.input.window_us:
        raise UsageError(
            f"{path}: data.clip_us is {recipe.data.clip_us}; it must be a multiple of step_us {step_us} "
            f"and no less than input.window_us {recipe.input.window_us}"
        )
    for split in ("train", "validation", "test"):
        for name in ("subjects", "seeds"):
            first, end = getattr(recipe.data.people(split), name)
            if end <= first:
                raise UsageError(f"{path}: data.{split}.{name} is [{first}, {end}]; the end must lie above the start")
    _check_held_out(path, recipe.data)
    return recipe


def _check_held_out(path: Path, data: Data) -> None:
    """Raises UsageError when a subject stands in two splits: figures would say nothing about new people."""
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        common = set(range(*splits[one].subjects)) & set(range(*splits[other].subjects))
        if common:
            raise UsageError(f"{path}: subject {min(common)} is in data.{one} and in data.{other}; keep people apart")

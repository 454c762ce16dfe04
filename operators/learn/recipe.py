"""What one training run is: network, input, data, schedule. The content of a file in configs/recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from evpipe.errors import UsageError
from operators.model_card import Input
from operators.nets.layer_tables import input_size, layers
from operators.network import Count, Network
from operators.strict_yaml import read

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Span = tuple[Annotated[int, msgspec.Meta(ge=0)], Count]
Split = Literal["train", "validation", "test"]


class People(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Subjects and clip seeds of one split, both half-open ranges: every subject does every action once a seed."""

    subjects: Span
    seeds: Span


class Simulated(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="source", tag="simulated"
):
    """People acting before the simulated camera, kept apart by person. Clips of `clip_us`."""

    clip_us: Count
    train: People
    validation: People
    test: People

    def people(self, split: Split) -> People:
        """Those of one split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[split]


class Folder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="source", tag="folder"):
    """Recordings of any format that evpipe reads, in one folder per class below `path`, or listed in its labels.tsv.

    Where `path` holds folders named train and test (and validation), those are the splits; what is missing of them is
    taken from train. Else every class is split 60/20/20. By `split` "recordings" that means whole recordings in a
    fixed, shuffled order; with `group`, a regular expression, recordings whose names give the same match (of its first
    group) stay together, e.g. a person. "time" cuts the end of every recording off instead, for data with few
    recordings: its figures tell less of new ones. "none" gives every split all recordings, to measure a model on them.
    Recordings are cut into clips of `clip_us` (None: as long as the longest recording, between the window and 2 s).
    """

    path: str
    clip_us: Count | None = None
    split: Literal["recordings", "time", "none"] = "recordings"
    group: str | None = None


class DataSet(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="source", tag="data_set"
):
    """A published data set in its own layout and with its own split, below `path`; validation is taken from training.

    `clip_us` as for folders.
    """

    name: Literal["dvs128_gesture", "cifar10_dvs", "nmnist", "ncaltech101", "shd"]
    path: str
    clip_us: Count | None = None


class Motion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="source", tag="motion"):
    """Recorded human motion (BVH, ASF/AMC, DeepMimic text) played by simulated people: a test of a model, not training.

    `files`: motion file below `path` -> class; `seeds`: half-open range, each a body, a room, a view and a part of the
    motion. Clips of `clip_us`.
    """

    path: str
    files: dict[str, str]
    seeds: Span
    clip_us: Count


Data = Simulated | Folder | DataSet | Motion


class Sampling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How windows are taken from clips, which are kept as counts in steps of `step_us` (it must divide a frame).

    None is a fifth of a frame, or the frame where that is no whole number of microseconds. `windows_per_clip` is how
    many windows, evenly spread over a clip, validation and test look at (None: as many as cover it).
    """

    step_us: Count | None = None
    windows_per_clip: Count | None = None


class Augment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes to a training window.

    `random_slice`: it begins anywhere in the clip (RCS), else at its start. `flip`: how often it is mirrored;
    `shift_px`: largest move of the picture in coarse pixels; `keep`: range of the share of events that stays; `noise`:
    most random events added per coarse pixel, polarity and frame.
    """

    random_slice: bool = True
    flip: Share = 0.0
    shift_px: Annotated[int, msgspec.Meta(ge=0)] = 2
    keep: tuple[Share, Share] = (0.6, 1.0)
    noise: Annotated[float, msgspec.Meta(ge=0)] = 0.0


SMALLEST_EPOCH = 240
"""Windows that an epoch of few clips draws at least, unless the recipe says how many of each clip."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Adam with a cosine from `learning_rate` to `final_learning_rate`.

    An epoch draws `windows_per_clip` of each clip (None: one, or as many as make an epoch of 240 windows), in batches
    of `batch`, or of the whole epoch where it is smaller. `patience`: training ends when validation has not risen for
    so many epochs (None: never before the last).
    `precision` "bfloat16" computes convolutions and matrix products in 16 bits where the machine is faster so.
    """

    epochs: Count = 60
    batch: Count = 24
    windows_per_clip: Count | None = None
    learning_rate: Positive = 1e-3
    final_learning_rate: Positive = 1e-5
    patience: Count | None = None
    precision: Literal["float32", "bfloat16"] = "float32"

    def windows_of_each(self, clips: int) -> int:
        """How often an epoch draws a window of each of so many clips."""
        return self.windows_per_clip or max(1, -(-SMALLEST_EPOCH // clips))


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The network's input: `frames` count frames of `size` [height, width] over `window_us`.

    `sensor` [height, width] is the geometry of the data; None takes that of the recordings.
    """

    window_us: Count = 480_000
    frames: Count = 16
    size: tuple[Count, Count] = (32, 32)
    sensor: tuple[Count, Count] | None = None

    def on(self, sensor: tuple[int, int]) -> Input:
        """The input of a card, for data of this geometry."""
        return Input(window_us=self.window_us, frames=self.frames, size=self.size, sensor=self.sensor or sensor)

    @property
    def frame_us(self) -> int:
        """Length of one frame."""
        return self.window_us // self.frames


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole recipe."""

    evpipe_recipe: Literal[1]
    name: str
    data: Data
    about: str = ""
    licence: str = "not stated"
    network: Network = Network()
    input: Window = Window()
    sampling: Sampling = Sampling()
    augment: Augment = Augment()
    schedule: Schedule = Schedule()
    seed: int = 0

    @property
    def step_us(self) -> int:
        """Length of the steps in which clips are kept."""
        frame_us = self.input.frame_us
        return self.sampling.step_us or (frame_us // 5 if frame_us % 5 == 0 else frame_us)


def read_recipe(path: Path) -> Recipe:
    """The recipe of a file. Raises UsageError naming file, line, field, rule and value.

    Data is looked for where its path says, from the current folder on, else from the recipe's folder on.
    """
    recipe = read(path, Recipe)
    check(recipe, str(path))
    if not isinstance(recipe.data, Simulated) and not Path(recipe.data.path).expanduser().exists():
        beside = path.parent / recipe.data.path
        if beside.exists():
            data = msgspec.structs.replace(recipe.data, path=str(beside))
            return msgspec.structs.replace(recipe, data=data)
    return recipe


def check(recipe: Recipe, place: str) -> None:
    """Raises UsageError for values that do not fit together; `place` names the recipe."""
    frame_us, step_us = recipe.input.frame_us, recipe.step_us
    if recipe.input.window_us % recipe.input.frames:
        raise UsageError(f"{place}: input: window_us {recipe.input.window_us} is no multiple of frames")
    if frame_us % step_us:
        raise UsageError(f"{place}: sampling.step_us is {step_us}; it must divide a frame of {frame_us} us")
    _check_network(recipe, place)
    clip_us = recipe.data.clip_us
    if clip_us is not None and (clip_us % step_us or clip_us < recipe.input.window_us):
        raise UsageError(
            f"{place}: data.clip_us is {clip_us}; it must be a multiple of step_us {step_us} "
            f"and no less than input.window_us {recipe.input.window_us}"
        )
    if isinstance(recipe.data, Simulated):
        check_people(place, recipe.data)


def _check_network(recipe: Recipe, place: str) -> None:
    """Raises UsageError for frames or attention that the network cannot have."""
    kind, attention, frames = recipe.network.kind, recipe.network.attention, recipe.input.frames
    if recipe.input.size != input_size(kind):
        raise UsageError(
            f"{place}: input.size is {list(recipe.input.size)}; "
            f"network '{kind}' takes frames of {list(input_size(kind))}"
        )
    if attention.reduction > frames and "se" in (attention.frames, attention.currents):
        raise UsageError(
            f"{place}: network.attention.reduction is {attention.reduction}; "
            f"it can be no more than input.frames, {frames}"
        )
    channels = min((layer.outputs for layer in layers(kind, 2) if layer.size), default=None)
    if attention.spatial != "none" and channels is None:
        raise UsageError(f"{place}: network.attention.spatial: network '{kind}' has no convolutions to attend to")
    if attention.spatial.endswith(("tcsa_window", "csa_step")) and attention.channel_reduction > (channels or 0):
        raise UsageError(
            f"{place}: network.attention.channel_reduction is {attention.channel_reduction}; it can be no more than "
            f"the fewest channels of network '{kind}', {channels}"
        )


def check_people(place: str, data: Simulated) -> None:
    """Raises UsageError for an empty range, or a subject in two splits: figures would say nothing about new people."""
    splits: tuple[Split, ...] = ("train", "validation", "test")
    for split in splits:
        people = data.people(split)
        for name, (first, end) in (("subjects", people.subjects), ("seeds", people.seeds)):
            if end <= first:
                raise UsageError(f"{place}: data.{split}.{name} is [{first}, {end}]; the end must lie above the start")
    pairs: tuple[tuple[Split, Split], ...] = (("train", "validation"), ("train", "test"), ("validation", "test"))
    for one, other in pairs:
        common = set(range(*data.people(one).subjects)) & set(range(*data.people(other).subjects))
        if common:
            raise UsageError(f"{place}: subject {min(common)} is in data.{one} and in data.{other}; keep people apart")

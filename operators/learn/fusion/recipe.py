"""What one training run of a fusion network is: network, pairs, data, schedule. A file with `task: fuse`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from evpipe.errors import UsageError
from operators.fusion_card import PairInput
from operators.fusion_network import Count, FusionNetwork
from operators.learn import recipe as of_events
from operators.learn.recipe import Positive, Share
from operators.strict_yaml import read

Probability = Annotated[float, msgspec.Meta(ge=0, lt=1)]


class Conditions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shares of the training clips, of their sum, that are filmed under each condition of `sensors.conditions`."""

    normal: Share = 0.55
    dark: Share = 0.15
    blurred: Share = 0.15
    static: Share = 0.15


class Simulated(
    of_events.Simulated, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="source", tag="simulated"
):
    """People acting before the simulated camera, kept apart by person. Clips of `clip_us`; a frame every `frame_us`.

    A training clip is filmed under one condition, drawn by `conditions`; validation takes the conditions that have a
    share in turn, and every test clip is filmed under all four, so that figures compare the same people.
    """

    clip_us: Count = 1_200_000
    frame_us: Count = 40_000
    conditions: Conditions = Conditions()


class Folder(of_events.Folder, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="source", tag="folder"):
    """Recordings of frames and events in one folder per class below `path`, or listed in its labels.tsv.

    Either one file holds both, as AEDAT4 of a DAVIS does, or `events` and `frames` name two folders below `path`, each
    laid out so, where a recording of events and one of frames belong together by the same class and name, whatever
    their endings. Files are those that evpipe reads; `offset_us` is what to add to the frames' time to get the events'.
    A recording that lacks either is left out, and said.

    Splits, `split` and `group` as for windows of events. Recordings are cut into clips of `clip_us`; one that is
    shorter gives one clip.
    """

    clip_us: Count = 1_200_000
    events: str | None = None
    frames: str | None = None
    offset_us: int = 0


Data = Simulated | Folder


class Pairing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How frames and events are paired, as `operators.pair.Pair` has it; `pairs` of them, spread over it, make a clip.

    `stride_us`: sensor time between the pairs of a decision when the model runs live; None is that of the clips.
    `sensor` [height, width] is the geometry of simulated data; None is that of a DAVIS346. Recordings have their own.
    """

    event_window: Literal["exposure", "interframe", "fixed"] = "interframe"
    fixed_us: Count = 40_000
    pairs: Count = 8
    stride_us: Annotated[int, msgspec.Meta(ge=0)] | None = None
    sensor: tuple[Count, Count] | None = None


class Augment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes to the pairs of a training clip; both pictures are mirrored and moved alike, and alike in all its pairs.

    `flip`: how often they are mirrored (never, where left and right tell classes apart); `shift_px`: the largest move,
    in pixels of the network's input, at each side. `brightness`, `contrast`: the RGB picture's are multiplied by up to
    1 + so much, or divided. `keep`: range of the share of painted pixels of the event picture that stays; `noise`: most
    painted pixels added, as a share of all. `drop_rgb`, `drop_events`: how often a pair lacks one modality, never both.
    """

    flip: Share = 0.0
    shift_px: Annotated[int, msgspec.Meta(ge=0)] = 4
    brightness: Annotated[float, msgspec.Meta(ge=0)] = 0.25
    contrast: Annotated[float, msgspec.Meta(ge=0)] = 0.25
    keep: tuple[Share, Share] = (0.7, 1.0)
    noise: Share = 0.01
    drop_rgb: Share = 0.1
    drop_events: Share = 0.1


SMALLEST_EPOCH = 240
"""Clips that an epoch draws at least where there are few of them, unless the recipe says how often each."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """AdamW with a linear `warm_up` for this share of all steps, then a cosine down to `final_learning_rate`.

    An epoch draws each clip `draws_per_clip` times (None: once, or as often as makes an epoch of 240), each time with
    `pairs_per_clip` of its pairs, in batches of `batch` draws. `patience`: training ends when validation has not risen
    for so many epochs (None: never before the last). `clip_norm`: the longest gradient; `weight_decay` spares norms,
    biases, scales and embeddings.

    `route_warm_up`: share of all steps in which every block takes form 0; then routes are drawn with Gumbel noise at
    the temperature `route_tau`, which falls to `route_tau_min` in the last step. `balance` weighs a penalty on uneven
    routes (0: none). `precision` "bfloat16" computes in 16 bits where the machine is faster so.
    """

    epochs: Count = 40
    batch: Count = 32
    draws_per_clip: Count | None = None
    pairs_per_clip: Count = 4
    learning_rate: Positive = 2e-3
    final_learning_rate: Positive = 1e-5
    warm_up: Probability = 0.1
    weight_decay: Annotated[float, msgspec.Meta(ge=0)] = 0.05
    clip_norm: Positive = 5.0
    label_smoothing: Probability = 0.1
    route_warm_up: Probability = 0.1
    route_tau: Positive = 1.0
    route_tau_min: Positive = 1.0
    balance: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    patience: Count | None = None
    precision: Literal["float32", "bfloat16"] = "float32"

    def draws_of_each(self, clips: int) -> int:
        """How often an epoch draws each of so many clips."""
        return self.draws_per_clip or max(1, -(-SMALLEST_EPOCH // clips))


class FusionRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole recipe. `compare`: a network of each modality alone is trained and measured beside it."""

    evpipe_recipe: Literal[1]
    task: Literal["fuse"]
    name: str
    data: Data
    about: str = ""
    licence: str = "not stated"
    network: FusionNetwork = FusionNetwork()
    input: Pairing = Pairing()
    augment: Augment = Augment()
    schedule: Schedule = Schedule()
    compare: bool = False
    seed: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """[height, width] of the network's pictures."""
        return self.network.layout.size

    def on(self, sensor: tuple[int, int]) -> PairInput:
        """The input of a card, for data of this geometry."""
        given = self.input
        stride_us = self.data.clip_us // given.pairs if given.stride_us is None else given.stride_us
        return PairInput(
            event_window=given.event_window,
            fixed_us=given.fixed_us,
            pairs=given.pairs,
            stride_us=stride_us,
            sensor=sensor,
        )


def read_recipe(path: Path) -> FusionRecipe:
    """The recipe of a file. Raises UsageError naming file, line, field, rule and value.

    Data is looked for where its path says, from the current folder on, else from the recipe's folder on.
    """
    recipe = read(path, FusionRecipe)
    check(recipe, str(path))
    if isinstance(recipe.data, Folder) and not Path(recipe.data.path).expanduser().exists():
        beside = path.parent / recipe.data.path
        if beside.exists():
            data = msgspec.structs.replace(recipe.data, path=str(beside))
            return msgspec.structs.replace(recipe, data=data)
    return recipe


def check(recipe: FusionRecipe, place: str) -> None:
    """Raises UsageError for values that do not fit together; `place` names the recipe."""
    schedule, augment, data = recipe.schedule, recipe.augment, recipe.data
    if schedule.pairs_per_clip > recipe.input.pairs:
        raise UsageError(
            f"{place}: schedule.pairs_per_clip is {schedule.pairs_per_clip}; a clip has input.pairs, "
            f"{recipe.input.pairs}"
        )
    if schedule.route_tau_min > schedule.route_tau:
        raise UsageError(
            f"{place}: schedule.route_tau_min is {schedule.route_tau_min:g}; it can be no more than route_tau, "
            f"{schedule.route_tau:g}"
        )
    if augment.drop_rgb + augment.drop_events > 1:
        raise UsageError(
            f"{place}: augment.drop_rgb {augment.drop_rgb:g} and drop_events {augment.drop_events:g} are more than 1 "
            "together; a pair never lacks both"
        )
    if recipe.network.fve_context in ("clip", "batch"):
        raise UsageError(
            f"{place}: network.fve_context is '{recipe.network.fve_context}', which looks across a clip: the model "
            "could not run live; choose none, running or frame"
        )
    if isinstance(data, Folder):
        if (data.events is None) != (data.frames is None):
            raise UsageError(f"{place}: data.events and data.frames go together; name both folders, or neither")
        if data.events is not None and data.events == data.frames:
            raise UsageError(f"{place}: data.events and data.frames are both '{data.events}'; leave both out")
    else:
        _check_simulated(recipe.input, data, place)


def _check_simulated(given: Pairing, data: Simulated, place: str) -> None:
    if data.clip_us < data.frame_us * given.pairs:
        raise UsageError(
            f"{place}: data.clip_us is {data.clip_us}; {given.pairs} pairs of frames each {data.frame_us} us apart "
            f"need {given.pairs * data.frame_us}"
        )
    shares = data.conditions
    if not any((shares.normal, shares.dark, shares.blurred, shares.static)):
        raise UsageError(f"{place}: data.conditions: every share is 0; at least one condition needs some")
    of_events.check_people(place, data)

"""Pairs of simulated people: every subject of a split does every action once for each clip seed, under conditions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from evpipe.packets import U8, Events, Frame, FramePair
from operators.fusion_card import PairInput
from operators.learn.fusion.cases import PairCase, PairCases, spread
from operators.learn.fusion.recipe import FusionRecipe, Simulated
from operators.learn.recipe import Split
from operators.learn.sources.simulated import SENSOR
from operators.pair import Pair
from sensors.conditions import CONDITIONS, Camera

_DRAW = 8  # keeps the draw of conditions apart from other random streams


class Span(NamedTuple):
    """A pair: the span [t0_us, t1_us) of its events, and the number of its frame."""

    t0_us: int
    t1_us: int
    frame: int


def cases(recipe: FusionRecipe, split: Split) -> PairCases:
    """The clips of one split in order of subject, action and seed, each a recording of its own."""
    import operators.event_history
    import operators.pair
    import sensors.conditions
    import sensors.kernels.pixel
    import sensors.kernels.raster
    import sensors.scenes
    import sensors.simulated
    from sensors.scenes.actions import ACTIONS

    assert isinstance(recipe.data, Simulated)
    data, people = recipe.data, recipe.data.people(split)
    given = recipe.on(recipe.input.sensor or SENSOR)
    of = partial(_make, given=given, clip_us=data.clip_us, frame_us=data.frame_us)
    # What the pairs depend on; the stride counts in live use alone.
    depends = repr((given.event_window, given.fixed_us, data.clip_us, data.frame_us))
    found = []
    for subject in range(*people.subjects):
        for number, action in enumerate(ACTIONS):
            for seed in range(*people.seeds):
                conditions = _conditions(data, split, subject, number, seed)
                make = partial(of, subject, action, seed, conditions)
                found.append(PairCase(action, f"subject{subject}_{action}_seed{seed}", conditions, depends, make))
    modules = (
        operators.event_history,
        operators.pair,
        sensors.conditions,
        sensors.kernels.pixel,
        sensors.kernels.raster,
        sensors.simulated,
    )
    files = (*(Path(str(module.__file__)) for module in modules), Path(str(sensors.scenes.__file__)).parent)
    return PairCases(found, tuple(ACTIONS), CONDITIONS, given.sensor, (Path(__file__), *files))


def _conditions(data: Simulated, split: Split, subject: int, action: int, seed: int) -> tuple[int, ...]:
    """The conditions, as indices, under which a clip is filmed."""
    if split == "test":
        return tuple(range(len(CONDITIONS)))
    shares = np.array([getattr(data.conditions, condition) for condition in CONDITIONS])
    if split == "validation":
        # In turn over subjects and actions, so that no action always meets the same one.
        wanted = np.flatnonzero(shares)
        return (int(wanted[(subject + action + seed) % len(wanted)]),)
    rng = np.random.default_rng([subject, action, seed, _DRAW])
    return (int(rng.choice(len(CONDITIONS), p=shares / shares.sum())),)


def _make(
    subject: int,
    action: str,
    seed: int,
    conditions: tuple[int, ...],
    rgb: U8,
    pictures: U8,
    given: PairInput,
    clip_us: int,
    frame_us: int,
) -> list[str]:
    """Fill in the pairs of a clip under each of the conditions."""
    from sensors.scenes.pixels import film
    from sensors.simulated import clip_camera

    films: dict[object, Events] = {}
    for index, clip_rgb, clip_pictures in zip(conditions, rgb, pictures, strict=True):
        condition = CONDITIONS[index]
        camera = clip_camera(subject, action, seed, clip_us, condition=condition, size=given.sensor, frame_us=frame_us)
        # A slow shutter changes nothing in the events.
        as_for = "normal" if condition == "blurred" else condition
        if as_for not in films:
            films[as_for] = film(camera.pixels(), clip_us)
        fill(camera, films[as_for], given, clip_rgb, clip_pictures)
    return []


def fill(camera: Camera, events: Events, given: PairInput, rgb: U8, pictures: U8) -> None:
    """Fill `rgb` and `pictures` [T, H, W, 3] with T pairs spread over the camera's clip, whose `events` are all there.

    They are those of a `Pair` behind the live camera, bit for bit; only the pictures that are needed are drawn.
    """
    from operators.event_picture import paint_events, shrunk

    size = (rgb.shape[1], rgb.shape[2])
    starts = range(0, events.t1_us - camera.exposure_us + 1, camera.frame_us)
    pairs = spans([(start, start + camera.exposure_us) for start in starts], events, given)
    for place, k in enumerate(spread(len(pairs), len(rgb))):
        t0_us, t1_us, frame = pairs[k]
        first, end = np.searchsorted(events.t, (t0_us, t1_us))
        rgb[place] = shrunk(camera.picture(starts[frame]), size)
        pictures[place] = shrunk(paint_events(events[first:end], t0_us, t1_us).picture, size)


def spans(frames: Sequence[tuple[int, int]], events: Events, given: PairInput) -> list[Span]:
    """The pairs with a picture that a `Pair` makes of frames exposed over these spans and events of the whole clip."""
    pair = Pair(given.event_window, given.fixed_us, keep_us=max(500_000, given.fixed_us))
    found: list[Span] = []

    def hear(answers: object) -> None:
        for (answer,) in answers:  # type: ignore[attr-defined]
            if isinstance(answer, FramePair) and answer.has_image:
                found.append(Span(answer.t0_us, answer.t1_us, int(answer.image.view(np.int64)[0, 0])))

    told_us = events.t0_us
    for number, (start, end) in enumerate([*frames, (events.t1_us, events.t1_us)]):
        # Without events in them, packets still tell of time.
        hear(pair.on_events(msgspec.structs.replace(events[:0], t0_us=told_us, t1_us=end)))
        told_us = end
        if number < len(frames):
            stand_in = np.array([[number]], np.int64).view(np.uint8)
            hear(pair.on_frame(Frame(t0_us=start, t1_us=end, image=stand_in)))
    return found

"""Pairs of simulated people: those that the live camera gives, people kept apart, conditions dealt as promised."""

import msgspec
import numpy as np
import pytest

from evpipe.packets import Events, Frame
from operators.event_picture import paint_events, shrunk
from operators.fusion_card import PairInput
from operators.learn.fusion import simulated
from operators.learn.fusion.cases import spread
from operators.learn.fusion.pairs import prepare
from operators.learn.fusion.recipe import Conditions, FusionRecipe, Pairing, Simulated
from operators.learn.recipe import People
from operators.pair import Pair
from sensors.conditions import CONDITIONS, Camera, script_for
from sensors.scenes.actions import ACTIONS
from sensors.scenes.pixels import film
from sensors.simulated import SimulatedCamera, clip_events

SIZE = (96, 128)


def recipe_of(subjects: int = 1, **fields) -> FusionRecipe:
    fields = {"clip_us": 320_000} | fields
    data = Simulated(
        train=People(subjects=(0, subjects), seeds=(0, 1)),
        validation=People(subjects=(80, 80 + subjects), seeds=(2, 3)),
        test=People(subjects=(100, 100 + subjects), seeds=(1000, 1001)),
        **fields,
    )
    return FusionRecipe(evpipe_recipe=1, task="fuse", name="sim", data=data, input=Pairing(pairs=2, sensor=SIZE))


@pytest.mark.parametrize(
    ("window", "frame_us", "condition"),
    [
        *(("interframe", 40_000, condition) for condition in CONDITIONS),
        ("exposure", 33_000, "normal"),
        ("fixed", 40_000, "blurred"),
    ],
)
def test_pairs_are_those_of_the_live_camera(window, frame_us, condition) -> None:
    """Bit for bit what Pair makes of the packets of SimulatedCamera, of the same script."""
    given = PairInput(event_window=window, fixed_us=50_000, sensor=SIZE)
    live = SimulatedCamera(
        seed=5, subject=3, action="walk", size=SIZE, frame_us=frame_us, duration_us=400_000, condition=condition
    )
    live.open()
    pair = Pair(window, 50_000)
    found = []
    for packet in live.stream():
        answers = pair.on_frame(packet) if isinstance(packet, Frame) else pair.on_events(packet)
        found += [answer.frame_pair for answer in answers if answer.frame_pair.has_image]
    script = script_for(condition)(5, 3, "walk", 4_000_000)
    camera = Camera(script, SIZE, 5, condition=condition, frame_us=frame_us)
    events = film(camera.pixels(), 400_000)
    rgb, pictures = np.zeros((2, len(found), 64, 64, 3), np.uint8)
    simulated.fill(camera, events, given, rgb, pictures)
    for n, one in enumerate(found):
        np.testing.assert_array_equal(rgb[n], shrunk(one.image, (64, 64)))
        of = Events(
            t0_us=one.t0_us, t1_us=one.t1_us, t=one.t, x=one.x, y=one.y, p=one.p, width=one.width, height=one.height
        )
        np.testing.assert_array_equal(pictures[n], shrunk(paint_events(of, one.t0_us, one.t1_us).picture, (64, 64)))
    assert len(found) >= 7
    assert len(np.unique(pictures.reshape(len(found), -1), axis=0)) == len(found)
    # As few as are wanted are spread evenly.
    few = np.zeros((2, 3, 64, 64, 3), np.uint8)
    simulated.fill(camera, events, given, *few)
    np.testing.assert_array_equal(few[0], rgb[spread(len(found), 3)])


@pytest.mark.parametrize(
    ("found", "taken"),
    [(25, [1, 4, 7, 10, 14, 17, 20, 23]), (24, [1, 4, 7, 10, 13, 16, 19, 22]), (6, [0, 1, 1, 2, 3, 4, 4, 5])],
)
def test_pairs_are_spread_as_the_reference_spreads_them(found, taken) -> None:
    assert spread(found, 8) == taken


def test_every_test_clip_is_filmed_under_all_conditions(tmp_path) -> None:
    clips = prepare(recipe_of(), "test", tmp_path)
    assert clips.conditions == CONDITIONS
    assert clips.names == ACTIONS
    assert clips.rgb.shape == (len(ACTIONS) * 4, 2, 64, 64, 3)
    assert clips.condition.tolist() == [0, 1, 2, 3] * len(ACTIONS)
    assert np.bincount(clips.recording).tolist() == [4] * len(ACTIONS)
    assert clips.recordings[1] == "subject100_walk_seed1000"
    assert [clips.names[label] for label in clips.labels[::4]] == list(ACTIONS)
    normal, dark, blurred, static = (clips.rgb[k::4].astype(float) for k in range(4))
    assert dark.mean() < 0.4 * normal.mean()
    assert abs(blurred.mean() - normal.mean()) < 3
    assert np.abs(np.diff(blurred, axis=3)).mean() < 0.8 * np.abs(np.diff(normal, axis=3)).mean()
    painted = [(clips.events[k::4].min(4) < 200).mean() for k in range(4)]
    assert painted[1] > painted[0] > painted[3]
    assert not np.array_equal(static, normal)


def test_a_clip_has_the_events_of_clip_events(tmp_path) -> None:
    """In normal light the same people in the same rooms as for models of events alone."""
    clips = prepare(recipe_of(conditions=Conditions(normal=1, dark=0, blurred=0, static=0)), "train", tmp_path)
    k = ACTIONS.index("jumping_jack")
    events = clip_events(0, "jumping_jack", 0, 320_000, size=SIZE)
    for place, number in enumerate(spread(8, 2)):
        t1 = 40_000 * number + 10_000
        picture = paint_events(events, t1 - 40_000, t1).picture
        np.testing.assert_array_equal(clips.events[k, place], shrunk(picture, (64, 64)))


def test_training_draws_conditions_and_validation_takes_them_in_turn() -> None:
    recipe = recipe_of(40)
    drawn = [case.conditions for case in simulated.cases(recipe, "train").cases]
    shares = np.bincount(np.concatenate(drawn), minlength=4) / len(drawn)
    np.testing.assert_allclose(shares, [0.55, 0.15, 0.15, 0.15], atol=0.05)
    again = [case.conditions for case in simulated.cases(recipe_of(3), "train").cases]
    assert again == drawn[: len(again)]  # more people leave those of before as they were
    cases = simulated.cases(recipe_of(8), "validation").cases
    for action in ACTIONS:
        of = [case.conditions[0] for case in cases if case.label == action]
        assert np.bincount(of).tolist() == [2, 2, 2, 2]
    some = simulated.cases(recipe_of(4, conditions=Conditions(normal=0.5, static=0.5, dark=0, blurred=0)), "validation")
    assert {case.conditions for case in some.cases} == {(0,), (3,)}


def test_people_of_two_splits_differ(tmp_path) -> None:
    """No picture of a test clip is one of training; one more process changes nothing."""
    recipe = recipe_of(conditions=Conditions(normal=1, dark=0, blurred=0, static=0))
    train, validation = (prepare(recipe, split, tmp_path / "one") for split in ("train", "validation"))
    assert not any(np.array_equal(one, other) for one, other in zip(train.rgb, validation.rgb, strict=True))
    both = prepare(recipe, "train", tmp_path / "two", jobs=2)
    np.testing.assert_array_equal(train.rgb, both.rgb)
    np.testing.assert_array_equal(train.events, both.events)


def test_what_is_used_live_alone_leaves_the_pairs(tmp_path) -> None:
    """The stride of decisions, augmentation and schedule are no part of them."""
    recipe = recipe_of()
    before = simulated.cases(recipe, "train").cases
    changed = msgspec.structs.replace(recipe, seed=5, input=Pairing(pairs=2, sensor=SIZE, stride_us=7))
    assert [case.depends for case in simulated.cases(changed, "train").cases] == [case.depends for case in before]
    longer = recipe_of(clip_us=400_000)
    assert [case.depends for case in simulated.cases(longer, "train").cases] != [case.depends for case in before]

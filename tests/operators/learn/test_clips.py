"""Clips on disk, the windows taken from them, and their augmentation."""

import msgspec
import numpy as np
import pytest

from evpipe.errors import UsageError
from evpipe.packets import Events
from operators.learn import augment
from operators.learn.clips import count_steps, frames, load, simulate
from operators.learn.recipe import Augment
from operators.temporal_bin import TemporalBin

PLAIN = Augment(flip=0, shift_px=0, keep=(1, 1), noise=0)


def test_steps_summed_to_frames_equal_the_operator() -> None:
    """Training sees the very windows that the live graph makes."""
    rng = np.random.default_rng(0)
    n = 5000
    events = Events(
        t0_us=0,
        t1_us=480_000,
        t=np.sort(rng.integers(0, 480_000, n)),
        x=rng.integers(0, 346, n).astype("u2"),
        y=rng.integers(0, 260, n).astype("u2"),
        p=rng.integers(0, 2, n).astype("u1"),
        width=346,
        height=260,
    )
    (tensor,) = TemporalBin().on_events(events)
    np.testing.assert_array_equal(frames(count_steps(events, 15_000, 32, (32, 32)), 16), tensor.values)


def test_simulated_clips_are_kept_and_remade_only_when_needed(tmp_path, recipe, monkeypatch) -> None:
    """The cache serves equal recipes, and processes change nothing."""
    people = msgspec.structs.replace(recipe.data.train, subjects=(0, 1), seeds=(0, 1))
    data = msgspec.structs.replace(recipe.data, clip_us=60_000, train=people)
    heard = []
    first = simulate(tmp_path, "train", data, recipe.input, 1, lambda *done: heard.append(done))
    n = len(first.names)
    assert first.counts.shape == (n, 4, 2, 32, 32)
    assert first.labels.tolist() == list(range(n))
    assert first.counts.sum() > 0
    assert heard[-1] == (n, n)
    kept = np.array(first.counts)

    simulate(tmp_path, "train", data, recipe.input, 1, lambda *_: pytest.fail("made anew"))
    longer = msgspec.structs.replace(data, clip_us=75_000)
    again = simulate(tmp_path, "train", longer, recipe.input, 2)
    np.testing.assert_array_equal(again.counts[:, :4], kept)
    np.testing.assert_array_equal(load(tmp_path, "train").counts, again.counts)


def test_a_folder_without_clips_is_named(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"no test\.json"):
        load(tmp_path, "test")


def test_windows_are_spread_over_each_clip(clips, recipe) -> None:
    some = clips(2, 0)
    windows = list(some.windows(3, recipe.input))
    assert [label for _, label in windows] == np.repeat(some.labels, 3).tolist()
    for index, start in enumerate((0, 4, 8)):
        np.testing.assert_array_equal(windows[index][0], frames(some.counts[0, start : start + 32], 16))


def test_window_without_augmentation_is_a_slice(clips) -> None:
    clip = clips(1, 0).counts[1]
    rng = np.random.default_rng(0)
    slices = [frames(clip[start : start + 32], 16).tobytes() for start in range(9)]
    found = {slices.index(augment.window(clip, 32, 16, PLAIN, rng).tobytes()) for _ in range(200)}
    assert found == set(range(9))


def test_augmentation_flips_moves_thins_and_adds(clips) -> None:
    clip = clips(1, 0).counts[1][:32]
    whole = frames(clip, 16)

    def drawn(**change: object) -> list[np.ndarray]:
        rng = np.random.default_rng(1)
        return [augment.window(clip, 32, 16, msgspec.structs.replace(PLAIN, **change), rng).copy() for _ in range(40)]

    assert all((window == whole[..., ::-1]).all() for window in drawn(flip=1))
    for window in drawn(shift_px=2):
        assert any(
            (window[..., max(0, d) : 32 + min(0, d), max(0, r) : 32 + min(0, r)]
             == whole[..., max(0, -d) : 32 + min(0, -d), max(0, -r) : 32 + min(0, -r)]).all()
            for d in range(-2, 3)
            for r in range(-2, 3)
        )  # fmt: skip
    thinned = drawn(keep=(0.5, 0.5))
    assert all((window <= whole).all() for window in thinned)
    assert np.mean([window.sum() for window in thinned]) == pytest.approx(whole.sum() / 2, rel=0.02)
    added = [window - whole for window in drawn(noise=0.2)]
    assert all((window >= 0).all() for window in added)
    assert np.mean(added) == pytest.approx(0.1, rel=0.3)


def test_an_epoch_takes_every_clip_in_an_order_of_its_own(clips) -> None:
    some = clips(4, 0)
    first, second = (
        [
            label
            for _, labels in augment.epoch(some, 32, 16, 5, 2, PLAIN, np.random.default_rng(seed))
            for label in labels
        ]
        for seed in (0, 1)
    )
    assert len(first) == 20
    assert first != second

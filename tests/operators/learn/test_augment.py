"""Training windows: slices of clips, mirrored, moved, thinned, with noise; the same for the same seed."""

import msgspec
import numpy as np
import pytest

from operators.learn import augment
from operators.learn.clips import Clips, frames
from operators.learn.recipe import Augment

PLAIN = Augment(flip=0, shift_px=0, keep=(1, 1), noise=0)


@pytest.fixture
def some() -> Clips:
    """Twelve clips of 40 steps, 32x32, with a bright bar that moves."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.05, (12, 40, 2, 32, 32)).astype(np.uint16)
    for step in range(40):
        counts[:, step, 1, 5:20, step % 32] += 3
    numbers = np.arange(12)
    return Clips(counts, numbers % 3, ("a", "b", "c"), 15_000, (260, 346), numbers, tuple(map(str, numbers)))


def test_a_window_without_augmentation_is_a_slice(some) -> None:
    """It begins anywhere, or at the clip's start."""
    clip = some.counts[1]
    rng = np.random.default_rng(0)
    slices = [frames(clip[start : start + 32], 16).tobytes() for start in range(9)]
    found = {slices.index(augment.window(clip, 32, 16, PLAIN, rng).tobytes()) for _ in range(200)}
    assert found == set(range(9))
    fixed = msgspec.structs.replace(PLAIN, random_slice=False)
    found = {slices.index(augment.window(clip, 32, 16, fixed, rng).tobytes()) for _ in range(50)}
    assert found == {0}


def drawn(clip, **change: object) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    settings = msgspec.structs.replace(PLAIN, **change)
    return [augment.window(clip, 32, 16, settings, rng) for _ in range(40)]


def test_flip_mirrors_left_and_right(some) -> None:
    clip = some.counts[1][:32]
    assert all((window == frames(clip, 16)[..., ::-1]).all() for window in drawn(clip, flip=1))
    mirrored = [(window == frames(clip, 16)[..., ::-1]).all() for window in drawn(clip, flip=0.5)]
    assert 8 < sum(mirrored) < 32


@pytest.mark.parametrize("flip", [0, 1])
def test_shift_moves_and_leaves_nothing_behind(some, flip) -> None:
    """The moved picture, empty where it came from; both directions and all distances occur."""
    clip = some.counts[1][:32]
    whole = frames(clip, 16)[..., ::-1] if flip else frames(clip, 16)
    padded = np.pad(whole, ((0, 0), (0, 0), (2, 2), (2, 2)))
    moved = {padded[..., 2 - d : 34 - d, 2 - r : 34 - r].tobytes(): (d, r) for d in range(-2, 3) for r in range(-2, 3)}
    found = {moved[window.tobytes()] for window in drawn(clip, shift_px=2, flip=flip)}
    assert {d for d, _ in found} == {r for _, r in found} == set(range(-2, 3))


def test_a_shift_beyond_the_picture_leaves_it_empty(some) -> None:
    sums = [window.sum() for window in drawn(some.counts[1][:32], shift_px=10_000)]
    assert min(sums) == 0


def test_thinning_keeps_each_event_with_its_probability(some) -> None:
    clip = some.counts[1][:32]
    whole = frames(clip, 16)
    windows = drawn(clip, keep=(0.5, 0.5))
    assert all((window <= whole).all() for window in windows)
    assert len({window.tobytes() for window in windows}) == 40
    assert np.mean([window.sum() for window in windows]) == pytest.approx(whole.sum() / 2, rel=0.02)
    # Binomial: the variance of an entry of n events is n / 4.
    deviation = np.var(windows, axis=0)[whole == 3].mean()
    assert deviation == pytest.approx(3 / 4, rel=0.1)
    assert not any(window.any() for window in drawn(clip, keep=(0, 0)))


def test_noise_is_even_and_as_much_as_said(some) -> None:
    clip = some.counts[1][:32]
    added = np.array([window - frames(clip, 16) for window in drawn(clip, noise=0.2)])
    assert (added >= 0).all()
    assert added.mean() == pytest.approx(0.1, rel=0.3)
    for axis in range(1, 5):
        means = added.mean(tuple(k for k in range(5) if k != axis))
        assert means.std() / means.mean() < 0.1


def test_an_epoch_takes_every_clip_and_repeats_itself(some) -> None:
    """In an order of its own for each seed; the rest that fills no batch is left out."""

    def run(seed: int) -> tuple[np.ndarray, list[int]]:
        batches = list(augment.epoch(some, 32, 16, 5, 2, Augment(flip=0.5), np.random.default_rng(seed)))
        assert [windows.shape for windows, _ in batches] == [(5, 16, 2, 32, 32)] * 4
        assert all(windows.dtype == np.float32 for windows, _ in batches)
        return np.concatenate([windows for windows, _ in batches]), [k for _, labels in batches for k in labels]

    first, again, other = run(0), run(0), run(1)
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1] != other[1]
    plain = augment.epoch(some, 40, 8, 12, 1, PLAIN, np.random.default_rng(3))
    ((windows, labels),) = plain
    expected = {frames(clip, 8).tobytes(): label for clip, label in zip(some.counts, some.labels, strict=True)}
    assert [expected[window.tobytes()] for window in windows] == labels.tolist()

"""Windows drawn for training: bins and boxes move alike, events thin out, the rest stays as it was."""

import msgspec
import numpy as np
import pytest

from operators.kernels.draw_bins import draw_bins
from operators.learn.detector.draw import Placing, batches, moved_boxes, placings
from operators.learn.detector.recipe import Augment

STILL = Augment(flip=0, shift=0, zoom=(1, 1), keep=(1, 1), noise=0)


def drawn(counts, down, across, *, swap=False, keep=1.0, noise=0, seed=1):
    out = np.zeros(counts.shape, np.float32)
    draw_bins(counts, down.spans(), across.spans(), swap, keep, noise, seed, out)
    return out


@pytest.mark.parametrize("factor", [0.6, 0.8, 1.0, 1.25, 1.9])
@pytest.mark.parametrize("mirrored", [False, True])
def test_boxes_follow_their_pixels(factor: float, mirrored: bool) -> None:
    """A filled rectangle placed anew fills its box placed anew, to a pixel, without holes."""
    counts = np.zeros((1, 2, 60, 80), np.uint8)
    counts[0, 1, 20:40, 30:50] = 3
    across, down = Placing(80, factor, 5.0, mirrored), Placing(60, factor, -3.0, False)
    out = drawn(counts, down, across)
    assert set(np.unique(out)) <= {0.0, 1.0}
    rows, columns = np.nonzero(out[0, 1])
    x1, x2 = across.moved(np.array([30.0]), np.array([50.0]))
    y1, y2 = down.moved(np.array([20.0]), np.array([40.0]))
    where = (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1)
    wanted = (x1[0], min(80, x2[0]), max(0, y1[0]), min(60, y2[0]))
    assert where == pytest.approx(wanted, abs=1)
    assert out[0, 1, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()
    assert not out[0, 0].any()


def test_thinning_noise_and_polarity() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.5, (4, 2, 40, 40)).astype(np.uint8)
    still = Placing(40, 1.0, 0.0, False)
    assert np.array_equal(drawn(counts, still, still), counts > 0)
    assert np.array_equal(drawn(counts, still, still, swap=True), counts[:, ::-1] > 0)
    thinned = drawn(counts, still, still, keep=0.6)
    assert (thinned <= (counts > 0)).all()
    for events in (1, 2):
        stays = thinned[counts == events].mean()
        assert stays == pytest.approx(1 - 0.4**events, abs=0.04)
    assert np.array_equal(thinned, drawn(counts, still, still, keep=0.6))
    assert not np.array_equal(thinned, drawn(counts, still, still, keep=0.6, seed=2))
    assert drawn(np.zeros_like(counts), still, still, noise=50).sum() == pytest.approx(50, abs=3)


def test_windows_end_at_labelled_bins_and_begin_with_empty_ones(bin_clips, bin_recipe) -> None:
    """Without changes a window is the clip's own bins; what lies before the clip is empty."""
    clips = bin_clips(2, 3)
    labelled = np.zeros_like(clips.labelled)
    labelled[0, 1] = labelled[1, 6] = True
    clips = clips._replace(labelled=labelled)
    recipe = msgspec.structs.replace(bin_recipe, augment=STILL)
    chosen = clips.learnable(recipe.sampling)
    seen = set()
    for batch in batches(clips, chosen, recipe, np.random.default_rng(0), burn_in=True):
        assert batch.bins.shape == (batch.burn_in + 3, 4, 2, 64, 96)
        assert 0 <= batch.burn_in <= 9
        seen.add(batch.burn_in)
        for sample in range(4):
            bins = batch.bins[:, sample]
            for clip, last in ((0, 1), (1, 6)):
                there = np.minimum(clips.counts[clip, max(0, last + 1 - len(bins)) : last + 1], 1)
                if np.array_equal(bins[len(bins) - len(there) :], there):
                    assert not bins[: len(bins) - len(there)].any()
                    rows = clips.at(clip, last)
                    mine = batch.targets[batch.targets[:, 0] == sample]
                    corners = mine[:, 2:4] - mine[:, 4:] / 2
                    assert np.allclose(corners * (96, 64), rows["corners"][:, :2], atol=1e-4)
                    assert np.array_equal(mine[:, 1], rows["label"])
                    break
            else:
                pytest.fail("no window of the clips")
    assert len(seen) > 1


def test_boxes_that_leave_the_picture_are_left_out(bin_clips, bin_recipe) -> None:
    clips = bin_clips(1, 3)
    rows = clips.at(0, 0)[:1].copy()
    rows["corners"] = (60, 10, 90, 30)
    rows["events"] = 100
    still = Placing(64, 1.0, 0.0, False)
    kept = moved_boxes(rows, Placing(96, 1.0, 20.0, False), still, bin_recipe.sampling)
    assert kept[0, 1:] == pytest.approx(((80 + 96) / 2 / 96, 20 / 64, 16 / 96, 20 / 64))
    assert len(moved_boxes(rows, Placing(96, 1.0, 30.0, False), still, bin_recipe.sampling)) == 0
    rows["events"] = 15
    assert len(moved_boxes(rows, Placing(96, 1.0, 20.0, False), still, bin_recipe.sampling)) == 0


def test_the_same_seed_draws_the_same(bin_clips, bin_recipe) -> None:
    clips = bin_clips(3, 1)
    chosen = clips.learnable(bin_recipe.sampling)
    runs = [list(batches(clips, chosen, bin_recipe, np.random.default_rng(5), burn_in=False)) for _ in range(2)]
    assert len(runs[0]) == bin_recipe.schedule.updates
    for one, other in zip(*runs, strict=True):
        assert np.array_equal(one.bins, other.bins)
        assert np.array_equal(one.targets, other.targets)
    across, down = placings(bin_recipe.augment, 64, 96, np.random.default_rng(1))
    assert across.factor == down.factor
    assert across.size == 96

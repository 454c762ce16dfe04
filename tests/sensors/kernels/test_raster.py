"""The painters against a plain numpy cone, and the spans they promise."""

import numpy as np
import pytest

from sensors.kernels import raster as r
from sensors.scenes.script import Script
from sensors.scenes.stage import Stage


def plain(cone, shape):
    """Coverage [H, W] and log brightness [H, W] of one cone, for every pixel."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    c = cone.astype(np.float64)
    bx, by = c[r.BX] - c[r.AX], c[r.BY] - c[r.AY]
    dx, dy = x - c[r.AX], y - c[r.AY]
    along = (dx * bx + dy * by) / (bx * bx + by * by + 1e-3)
    h = along.clip(0, 1)
    qx, qy = dx - h * bx, dy - h * by
    radius = c[r.RA] + h * (c[r.RB] - c[r.RA])
    alpha = (radius - np.hypot(qx, qy)) / float(r.EDGE) + 0.5
    if not c[r.CUT]:
        alpha = np.minimum(alpha, along * np.hypot(bx, by) / float(r.EDGE) + 0.5)
    w = (h * c[r.CYCLES] + c[r.PHASE]) % 1.0
    shade = (qx * c[r.KX] + qy * c[r.KY]) / radius - c[r.RIM] * (qx**2 + qy**2) / radius**2
    value = c[r.LOG] + shade + c[r.WEAVE] * (16 * (w * (1 - w)) ** 2 - 0.5)
    return alpha.clip(0, 1) * c[r.OPACITY], value


def some_cones():
    """Cones in every attitude, some off the picture, one a mere disc."""
    rng = np.random.default_rng(4)
    cones = np.zeros((40, r.COLUMNS), np.float32)
    cones[:, [r.AX, r.BX]] = rng.uniform(-20, 100, (40, 2))
    cones[:, [r.AY, r.BY]] = rng.uniform(-20, 80, (40, 2))
    cones[:, [r.RA, r.RB]] = rng.uniform(0.8, 12, (40, 2))
    cones[:, r.LOG : r.RIM + 1] = rng.normal(0, 1, (40, 4))
    cones[:, r.WEAVE], cones[:, r.CYCLES], cones[:, r.PHASE] = 0.3, 3.3, 0.25
    cones[:, r.CUT], cones[:, r.OPACITY] = rng.integers(0, 2, 40), rng.uniform(0.3, 1, 40)
    cones[:, r.RED :] = np.exp(cones[:, [r.LOG]])
    cones[0, [r.BX, r.BY]] = cones[0, [r.AX, r.AY]]
    cones[1, r.BY] = cones[1, r.AY]
    cones[:2, r.CUT] = 1
    return cones


@pytest.mark.parametrize("k", range(40))
def test_cone_like_plain_numpy(k):
    """Each pixel of a cone equals the plain one's, and none outside the span is touched."""
    cone, shape = some_cones()[k], (60, 80)
    empty = np.zeros(shape, np.float32)
    picture = empty.copy()
    lo, hi = np.full(60, 80, np.int32), np.zeros(60, np.int32)
    r.paint_log(picture, empty, cone[None], np.zeros((0, r.SHADOW_COLUMNS), np.float32), lo, hi)
    alpha, value = plain(cone, shape)
    np.testing.assert_allclose(picture, alpha * value, atol=2e-4, rtol=1e-3)
    columns = np.arange(80)
    inside = (columns >= lo[:, None]) & (columns < hi[:, None])
    assert not picture[~inside].any()


def test_picture_like_plain_numpy():
    """The RGB painter paints the same cone, in linear light."""
    cone, shape = some_cones()[5], (60, 80)
    picture = np.full((*shape, 3), 0.5, np.float32)
    r.paint_rgb(picture, cone[None], np.zeros((0, r.SHADOW_COLUMNS), np.float32))
    alpha, value = plain(cone, shape)
    expected = 0.5 + alpha * (np.exp(value) - 0.5)
    np.testing.assert_allclose(picture, expected[..., None].repeat(3, -1), atol=2e-4, rtol=2e-3)


def test_the_room_comes_back():
    """Painting moment after moment leaves no trace: each picture equals one painted on a fresh room."""
    stage = Stage(Script(0, 1, "jumping_jack", 1_000_000), (260, 346), 0, oversample=1)
    cones, shadows = stage.cones(np.arange(0, 1_000_000, 100_000))
    empty = np.random.default_rng(0).normal(0, 1, (260, 346)).astype(np.float32)
    picture, lo, hi = empty.copy(), np.full(260, 346, np.int32), np.zeros(260, np.int32)
    for k in range(len(cones)):
        r.paint_log(picture, empty, cones[k], shadows[k], lo, hi)
        fresh = empty.copy()
        r.paint_log(fresh, empty, cones[k], shadows[k], np.full(260, 346, np.int32), np.zeros(260, np.int32))
        np.testing.assert_array_equal(picture, fresh)
        changed = fresh != empty
        columns = np.arange(346)
        assert not changed[(columns < lo[:, None]) | (columns >= hi[:, None])].any()

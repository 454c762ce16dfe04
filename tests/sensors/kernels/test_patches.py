"""The painter of patches against plain numpy, the spans it promises, and the outline against the picture."""

import numpy as np
import pytest

from sensors.kernels import patches as c
from sensors.road.scene import RoadScene

SHAPE = (60, 80)
EDGE = float(c.EDGE)


def coverage(patch):
    """The share [H, W] of each pixel that a patch covers, in float64; for a spot its strength."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float64)
    g = patch[c.G0 : c.G0 + 8].astype(np.float64)
    kind = int(patch[c.KIND])
    if kind == c.QUAD:
        corners = g.reshape(4, 2)
        depth = np.full(SHAPE, 1e9)
        for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, 0), strict=True):
            if np.hypot(x1 - x0, y1 - y0) >= 1e-4:
                inside = ((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)) / np.hypot(x1 - x0, y1 - y0)
                depth = np.minimum(depth, inside)
        return (depth / EDGE + 0.5).clip(0, 1)
    dx, dy = x - g[0], y - g[1]
    if kind == c.CAPSULE:
        bx, by = g[2] - g[0], g[3] - g[1]
        h = ((dx * bx + dy * by) / (bx * bx + by * by + 1e-3)).clip(0, 1)
        radius = g[4] + h * (g[5] - g[4])
        return ((radius - np.hypot(dx - h * bx, dy - h * by)) / EDGE + 0.5).clip(0, 1)
    axes = g[2:6].reshape(2, 2).T
    inverse = np.linalg.inv(axes)
    u, v = inverse[0, 0] * dx + inverse[0, 1] * dy, inverse[1, 0] * dx + inverse[1, 1] * dy
    r = np.hypot(u, v)
    if kind == c.SPOT:
        return (1 - r**2).clip(0) ** 2
    gx, gy = u * inverse[0, 0] + v * inverse[1, 0], u * inverse[0, 1] + v * inverse[1, 1]
    return ((1 - r) / (np.hypot(gx, gy) / (r + 1e-6) + 1e-6) / EDGE + 0.5).clip(0, 1)


def extent(patch):
    """left, top, right, bottom of a patch, without its soft edge."""
    g = patch[c.G0 : c.G0 + 8].astype(np.float64)
    kind = int(patch[c.KIND])
    if kind == c.QUAD:
        return *g.reshape(4, 2).min(0), *g.reshape(4, 2).max(0)
    if kind == c.CAPSULE:
        ends = g[:4].reshape(2, 2)
        return *(ends - g[4:6, None]).min(0), *(ends + g[4:6, None]).max(0)
    reach = np.hypot(g[2:4], g[4:6])
    return *(g[:2] - reach), *(g[:2] + reach)


def over(picture, patch):
    """A picture with one patch painted over it, in float64."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float64)
    cover = coverage(patch) * float(patch[c.OPACITY])
    if int(patch[c.KIND]) == c.SPOT:
        return picture + cover * float(patch[c.LUMINANCE])
    left, top, right, bottom = extent(patch)
    # No farther than the soft edge beyond the extent: a spike's tip, and a guess far from an oval, end there.
    cover[(x < left - EDGE) | (x > right + EDGE) | (y < top - EDGE) | (y > bottom + EDGE)] = 0
    value = patch[c.LUMINANCE] + (x - (left + right) / 2) * patch[c.KX] + (y - (top + bottom) / 2) * patch[c.KY]
    return picture + cover * (value - picture)


def some(kind, n=14):
    """Patches of one kind in every attitude, some partly or wholly off the picture."""
    rng = np.random.default_rng(kind)
    made = np.zeros((n, c.COLUMNS), np.float32)
    made[:, c.KIND], made[:, c.OPACITY] = kind, rng.uniform(0.4, 1, n)
    made[:, c.LUMINANCE : c.LUMINANCE + 4] = rng.normal(0, 1, (n, 4))
    made[:, c.KX], made[:, c.KY] = rng.normal(0, 0.02, (2, n))
    for k in range(n):
        at = rng.uniform((-15, -15), (95, 75))
        if kind == c.QUAD:
            # Convex and clockwise on the screen: points of an ellipse by rising angle.
            angle = np.sort(rng.uniform(0, 2 * np.pi, 4))
            points = at + np.stack([np.cos(angle), np.sin(angle)], -1) * rng.uniform(3, 30, 2)
            if k % 4 == 0:
                points[3] = points[2]
            made[k, c.G0 : c.G0 + 8] = points.ravel()
        elif kind == c.CAPSULE:
            made[k, c.G0 : c.G0 + 6] = (*at, *(at + rng.uniform(-25, 25, 2)), *rng.uniform(0.7, 9, 2))
        else:
            turn, (a, b) = rng.uniform(0, 2 * np.pi), rng.uniform(2, 20, 2)
            axes = a * np.cos(turn), a * np.sin(turn), -b * np.sin(turn), b * np.cos(turn)
            made[k, c.G0 : c.G0 + 6] = (*at, *axes)
    return made


def painted(patches, empty, order=None, channel=c.LUMINANCE):
    """The picture of things of one patch each, and the spans."""
    picture = empty.copy()
    lo, hi = np.full(SHAPE[0], SHAPE[1], np.int32), np.zeros(SHAPE[0], np.int32)
    first = np.arange(len(patches) + 1, dtype=np.int32)
    order = np.arange(len(patches), dtype=np.int32) if order is None else order
    c.paint(picture, empty, patches, first, order, channel, lo, hi)
    return picture, lo, hi


@pytest.mark.parametrize("kind", [c.QUAD, c.ELLIPSE, c.SPOT, c.CAPSULE])
@pytest.mark.parametrize("k", range(14))
def test_patch_like_plain_numpy(kind, k) -> None:
    """Every pixel equals the plain one's, and none outside the span is touched."""
    patch = some(kind)[k]
    empty = np.random.default_rng(9).normal(0, 1, SHAPE).astype(np.float32)
    picture, lo, hi = painted(patch[None], empty)
    expected = over(empty.astype(np.float64), patch)
    np.testing.assert_allclose(picture, expected, atol=3e-3)
    columns = np.arange(SHAPE[1])
    assert not (picture != empty)[(columns < lo[:, None]) | (columns >= hi[:, None])].any()


def test_things_are_painted_in_order_and_the_empty_scene_comes_back() -> None:
    """Far ones first; painting moment after moment leaves no trace."""
    kinds = [some(kind) for kind in (c.QUAD, c.ELLIPSE, c.SPOT, c.CAPSULE)]
    patches = np.concatenate(kinds)
    empty = np.zeros(SHAPE, np.float32)
    rng = np.random.default_rng(0)
    picture, lo, hi = painted(patches, empty)
    first = np.arange(len(patches) + 1, dtype=np.int32)
    for _ in range(5):
        order = rng.permutation(len(patches)).astype(np.int32)[:30]
        c.paint(picture, empty, patches, first, order, c.GREEN, lo, hi)
        fresh, _, _ = painted(patches, empty, order, c.GREEN)
        np.testing.assert_array_equal(picture, fresh)
        plain = empty.astype(np.float64)
        for k in order:
            turned = patches[k].copy()
            turned[c.LUMINANCE] = patches[k, c.GREEN]
            plain = over(plain, turned)
        np.testing.assert_allclose(picture, plain, atol=5e-3)


def test_what_is_clear_is_not_painted() -> None:
    patches = some(c.QUAD)
    patches[:, c.OPACITY] = 0
    empty = np.zeros(SHAPE, np.float32)
    picture, lo, hi = painted(patches, empty)
    assert not picture.any()
    assert (lo >= hi).all()


def test_outline_like_plain_numpy() -> None:
    """Extents, pixels covered and pixels in front, by thing, for things of two patches each."""
    patches = np.concatenate([some(c.QUAD, 8), some(c.ELLIPSE, 8), some(c.CAPSULE, 8), some(c.SPOT, 8)])
    rng = np.random.default_rng(3)
    patches = np.ascontiguousarray(patches[rng.permutation(len(patches))])
    patches[:, c.OPACITY] = 1
    first = np.arange(0, len(patches) + 1, 2, dtype=np.int32)
    order = rng.permutation(len(first) - 1).astype(np.int32)
    found, whole, seen, front = c.outline(patches, first, order, *SHAPE)
    plain = np.full(SHAPE, -1)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for k in order:
        alone = np.zeros(SHAPE, bool)
        edges = [np.inf, np.inf, -np.inf, -np.inf]
        for patch in patches[first[k] : first[k + 1]]:
            if int(patch[c.KIND]) != c.SPOT:
                left, top, right, bottom = extent(patch)
                inside = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
                alone |= inside & (coverage(patch) >= 0.5)
                edges = [*np.minimum(edges[:2], (left, top)), *np.maximum(edges[2:], (right, bottom))]
        plain[alone] = k
        assert abs(int(whole[k]) - int(alone.sum())) <= 2
        if np.isfinite(edges[0]):
            np.testing.assert_allclose(found[k], edges, atol=1e-3)
        else:
            assert found[k, 0] > found[k, 2]
    assert (front != plain).mean() < 0.002
    np.testing.assert_array_equal(seen, [(front == k).sum() for k in range(len(first) - 1)])


def test_a_street_is_painted_like_plain_numpy() -> None:
    """A whole scene by its own patches, cropped to a corner: what the kinds' loops share is right as well."""
    scene = RoadScene((260, 346), 3, 0, night=False)
    things = scene.things(np.array([1_500_000]))
    rows = things.patches[0].copy()
    box = max(scene.truth(1_500_000), key=lambda row: row["w"] * row["class_confidence"])
    left, top = int(box["x"] + box["w"] / 2) - SHAPE[1] // 2, int(box["y"] + box["h"] / 2) - SHAPE[0] // 2
    for kind, pairs in ((c.QUAD, 4), (c.CAPSULE, 2), (c.ELLIPSE, 1), (c.SPOT, 1)):
        mine = rows[:, c.KIND] == kind
        for pair in range(pairs):
            rows[mine, c.G0 + 2 * pair] -= left
            rows[mine, c.G0 + 2 * pair + 1] -= top
    empty = np.zeros(SHAPE, np.float32)
    picture = empty.copy()
    lo, hi = np.full(SHAPE[0], SHAPE[1], np.int32), np.zeros(SHAPE[0], np.int32)
    c.paint(picture, empty, rows, things.first, things.order[0], c.LUMINANCE, lo, hi)
    plain = empty.astype(np.float64)
    for k in things.order[0]:
        for patch in rows[things.first[k] : things.first[k + 1]]:
            if patch[c.OPACITY] > 0:
                plain = over(plain, patch)
    assert np.abs(picture - plain).max() < 0.02
    assert (picture != 0).mean() > 0.1

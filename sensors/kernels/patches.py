"""Paints convex quads, ellipses, capsules and soft spots over an empty scene, one channel of log brightness at a time.

Things are lists of patches painted far to near; an edge is soft over `EDGE` px. Rows keep the span of columns painted,
so that nothing else need be looked at.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
I16 = NDArray[np.int16]

# Columns of a patch: its kind, opacity (0: not painted), eight numbers of geometry (px), log values of four channels
# (luminance, red, green, blue) and their common slopes along x and y (log units per px from the patch's centre).
# Geometry: QUAD four corners x y, clockwise on the screen; ELLIPSE and SPOT centre and two half axes (x y each);
# CAPSULE two ends x y, two radii. A SPOT adds its values, fading to its rim, instead of covering.
KIND, OPACITY, G0, LUMINANCE, RED, GREEN, BLUE, KX, KY, COLUMNS = 0, 1, 2, 10, 11, 12, 13, 14, 15, 16
QUAD, ELLIPSE, SPOT, CAPSULE = 0, 1, 2, 3
EDGE = np.float32(1.2)


@njit(cache=True, nogil=True, error_model="numpy")
def _bounds(c: F32) -> tuple[float, float, float, float]:
    """The patch's exact extent left, top, right, bottom in px, soft edge not included."""
    g = c[G0 : G0 + 8]
    if c[KIND] == QUAD:
        return (
            min(g[0], g[2], g[4], g[6]),
            min(g[1], g[3], g[5], g[7]),
            max(g[0], g[2], g[4], g[6]),
            max(g[1], g[3], g[5], g[7]),
        )
    if c[KIND] == CAPSULE:
        return (
            min(g[0] - g[4], g[2] - g[5]),
            min(g[1] - g[4], g[3] - g[5]),
            max(g[0] + g[4], g[2] + g[5]),
            max(g[1] + g[4], g[3] + g[5]),
        )
    rx, ry = np.sqrt(g[2] * g[2] + g[4] * g[4]), np.sqrt(g[3] * g[3] + g[5] * g[5])
    return g[0] - rx, g[1] - ry, g[0] + rx, g[1] + ry


@njit(cache=True, nogil=True, error_model="numpy")
def _quad_span(g: F32, y: Any, inset: Any) -> Any:
    """Columns of row `y` farther than `inset` px inside every side of a quad; from > to: none."""
    left, right = np.float32(-1e9), np.float32(1e9)
    for k in range(4):
        j = (k + 1) % 4
        dx, dy = g[2 * j] - g[2 * k], g[2 * j + 1] - g[2 * k + 1]
        n = np.sqrt(dx * dx + dy * dy)
        if n < 1e-4:
            continue
        # Inside is right of a side walked clockwise with y down: dx * (y - y0) - dy * (x - x0) >= inset * n.
        rest = dx * (y - g[2 * k + 1]) + dy * g[2 * k] - inset * n
        if dy > 1e-6:
            right = min(right, rest / dy)
        elif dy < -1e-6:
            left = max(left, rest / dy)
        elif rest < 0:
            return np.float32(1.0), np.float32(0.0)
    return left, right


@njit(cache=True, nogil=True, error_model="numpy")
def _quad_depth(g: F32, x: Any, y: Any) -> Any:
    """How far inside of a quad a point is, in px; negative outside."""
    depth = np.float32(1e9)
    for k in range(4):
        j = (k + 1) % 4
        dx, dy = g[2 * j] - g[2 * k], g[2 * j + 1] - g[2 * k + 1]
        n = np.sqrt(dx * dx + dy * dy)
        if n >= 1e-4:
            depth = min(depth, (dx * (y - g[2 * k + 1]) - dy * (x - g[2 * k])) / n)
    return depth


@njit(cache=True, nogil=True, error_model="numpy")
def _cover(c: F32, x: Any, y: Any) -> Any:
    """The share 0 to 1 of pixel (x, y) that the patch covers; for a SPOT its strength."""
    g, one, zero, half = c[G0 : G0 + 8], np.float32(1.0), np.float32(0.0), np.float32(0.5)
    if c[KIND] == QUAD:
        return min(max(_quad_depth(g, x, y) / EDGE + half, zero), one)
    dx, dy = x - g[0], y - g[1]
    if c[KIND] == CAPSULE:
        bx, by = g[2] - g[0], g[3] - g[1]
        h = min(max((dx * bx + dy * by) / (bx * bx + by * by + np.float32(1e-3)), zero), one)
        qx, qy = dx - h * bx, dy - h * by
        r = g[4] + h * (g[5] - g[4])
        return min(max((r - np.sqrt(qx * qx + qy * qy)) / EDGE + half, zero), one)
    det = g[2] * g[5] - g[3] * g[4]
    if abs(det) < 1e-3:
        return zero
    u, v = (dx * g[5] - dy * g[4]) / det, (dy * g[2] - dx * g[3]) / det
    rr = u * u + v * v
    if c[KIND] == SPOT:
        w = max(one - rr, zero)
        return w * w
    # Distance to the rim, by the slope of the radius: exact for circles, near for ellipses.
    r = np.sqrt(rr) + np.float32(1e-6)
    gx, gy = (u * g[5] - v * g[3]) / det, (v * g[2] - u * g[4]) / det
    slope = np.sqrt(gx * gx + gy * gy) / r
    return min(max((one - r) / (slope + np.float32(1e-6)) / EDGE + half, zero), one)


@njit(cache=True, nogil=True, error_model="numpy")
def _paint_patch(picture: F32, ramp: F32, c: F32, channel: int, lo: I32, hi: I32) -> None:
    """One patch, row by row; `ramp` holds the columns' numbers. Each kind has a loop of its own, without branches."""
    height, width = picture.shape
    left, top, right, bottom = _bounds(c)
    soft = np.float32(0.0) if c[KIND] == SPOT else EDGE
    y0, y1 = max(0, int(np.ceil(top - soft))), min(height, int(np.floor(bottom + soft)) + 1)
    if y0 >= y1:
        return
    value, kx, ky, opacity = c[channel], c[KX], c[KY], c[OPACITY]
    cx, cy = np.float32(0.5 * (left + right)), np.float32(0.5 * (top + bottom))
    quad, half = c[KIND] == QUAD, np.float32(0.5) * EDGE
    g = c[G0 : G0 + 8]
    for y in range(y0, y1):
        row = np.float32(y)
        a, b = np.float32(left - soft), np.float32(right + soft)
        ia, ib = np.float32(1.0), np.float32(0.0)
        if quad:
            oa, ob = _quad_span(g, row, -half)
            a, b = max(a, np.float32(oa)), min(b, np.float32(ob))
            ia, ib = _quad_span(g, row, half)
        x0, x1 = max(0, int(np.ceil(a))), min(width, int(np.floor(b)) + 1)
        if x0 >= x1:
            continue
        lo[y], hi[y] = min(lo[y], x0), max(hi[y], x1)
        base = value + (row - cy) * ky
        if quad:
            # Where the whole pixel is inside nothing need be asked.
            i0, i1 = min(max(int(np.ceil(ia)), x0), x1), max(min(int(np.floor(ib)) + 1, x1), x0)
            if i0 >= i1:
                i0, i1 = x1, x1
            _fill_rim(picture[y, x0:i0], ramp[x0:i0], c, row, base, cx)
            _fill(picture[y, i0:i1], ramp[i0:i1], opacity, base, cx, kx)
            _fill_rim(picture[y, i1:x1], ramp[i1:x1], c, row, base, cx)
        elif c[KIND] == CAPSULE:
            _fill_capsule(picture[y, x0:x1], ramp[x0:x1], c, row, base, cx)
        elif c[KIND] == SPOT:
            _fill_spot(picture[y, x0:x1], ramp[x0:x1], c, row, value)
        else:
            _fill_ellipse(picture[y, x0:x1], ramp[x0:x1], c, row, base, cx)


@njit(cache=True, nogil=True, error_model="numpy")
def _fill(pixels: F32, at: F32, opacity: Any, base: Any, cx: Any, kx: Any) -> None:
    for k in range(len(pixels)):
        pixels[k] += opacity * (base + (at[k] - cx) * kx - pixels[k])


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_rim(pixels: F32, at: F32, c: F32, row: Any, base: Any, cx: Any) -> None:
    """Pixels of a quad that a side may pass through."""
    for k in range(len(pixels)):
        cover = _cover(c, at[k], row) * c[OPACITY]
        pixels[k] += cover * (base + (at[k] - cx) * c[KX] - pixels[k])


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_capsule(pixels: F32, at: F32, c: F32, row: Any, base: Any, cx: Any) -> None:
    one, zero, half = np.float32(1.0), np.float32(0.0), np.float32(0.5)
    ax, ay, ra, dr = c[G0], c[G0 + 1], c[G0 + 4], c[G0 + 5] - c[G0 + 4]
    bx, by, kx, opacity = c[G0 + 2] - ax, c[G0 + 3] - ay, c[KX], c[OPACITY]
    dy, under = row - ay, bx * bx + by * by + np.float32(1e-3)
    for k in range(len(pixels)):
        dx = at[k] - ax
        h = min(max((dx * bx + dy * by) / under, zero), one)
        qx, qy = dx - h * bx, dy - h * by
        cover = min(max((ra + h * dr - np.sqrt(qx * qx + qy * qy)) / EDGE + half, zero), one) * opacity
        pixels[k] += cover * (base + (at[k] - cx) * kx - pixels[k])


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_spot(pixels: F32, at: F32, c: F32, row: Any, value: Any) -> None:
    one, zero, opacity = np.float32(1.0), np.float32(0.0), c[OPACITY]
    ax, ay, a, b, d, e = c[G0], c[G0 + 1], c[G0 + 2], c[G0 + 3], c[G0 + 4], c[G0 + 5]
    dy, det = row - ay, a * e - b * d
    if abs(det) < 1e-3:
        return
    for k in range(len(pixels)):
        dx = at[k] - ax
        u, v = (dx * e - dy * d) / det, (dy * a - dx * b) / det
        w = max(one - (u * u + v * v), zero)
        pixels[k] += w * w * opacity * value


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_ellipse(pixels: F32, at: F32, c: F32, row: Any, base: Any, cx: Any) -> None:
    one, zero, half, tiny = np.float32(1.0), np.float32(0.0), np.float32(0.5), np.float32(1e-6)
    ax, ay, a, b, d, e = c[G0], c[G0 + 1], c[G0 + 2], c[G0 + 3], c[G0 + 4], c[G0 + 5]
    dy, det, kx, opacity = row - ay, a * e - b * d, c[KX], c[OPACITY]
    if abs(det) < 1e-3:
        return
    for k in range(len(pixels)):
        dx = at[k] - ax
        u, v = (dx * e - dy * d) / det, (dy * a - dx * b) / det
        r = np.sqrt(u * u + v * v) + tiny
        gx, gy = (u * e - v * b) / det, (v * a - u * d) / det
        slope = np.sqrt(gx * gx + gy * gy) / r
        cover = min(max((one - r) / (slope + tiny) / EDGE + half, zero), one) * opacity
        pixels[k] += cover * (base + (at[k] - cx) * kx - pixels[k])


@njit(cache=True, nogil=True, error_model="numpy")
def paint(picture: F32, empty: F32, patches: F32, first: I32, order: I32, channel: int, lo: I32, hi: I32) -> None:
    """Paint things into `picture` [H, W], one channel of log brightness, over the `empty` scene.

    Thing k has the patches `first[k]` to `first[k + 1]` of `patches` [N, COLUMNS], in order; `order` lists the things
    to paint, far ones first. `lo` `hi` [H] hold the spans painted last time: there the empty scene is put back, and
    they become the spans painted now (lo >= hi: nothing in that row).
    """
    height, width = picture.shape
    ramp = np.arange(width).astype(np.float32)
    for y in range(height):
        for x in range(lo[y], hi[y]):
            picture[y, x] = empty[y, x]
        lo[y], hi[y] = width, 0
    for k in order:
        for i in range(first[k], first[k + 1]):
            if patches[i, OPACITY] > 0:
                _paint_patch(picture, ramp, patches[i], channel, lo, hi)


@njit(cache=True, nogil=True, error_model="numpy")
def outline(patches: F32, first: I32, order: I32, height: int, width: int) -> tuple[F32, I32, I32, I16]:
    """What can be seen of each thing: `extent` [K, 4], `whole` [K], `seen` [K] and `front` [H, W].

    `extent` is left, top, right, bottom in px of all its patches but spots, unclipped (left > right: it has none).
    `whole` counts the pixels of the picture that it would cover alone, `seen` those where it is in front, and `front`
    holds the thing in front at each pixel, or -1. A patch covers a pixel from half on.
    """
    n = len(first) - 1
    extent = np.empty((n, 4), np.float32)
    whole, seen = np.zeros(n, np.int32), np.zeros(n, np.int32)
    front, last = np.full((height, width), -1, np.int16), np.full((height, width), -1, np.int16)
    for k in range(n):
        extent[k, 0] = extent[k, 1] = np.float32(1e9)
        extent[k, 2] = extent[k, 3] = np.float32(-1e9)
    for k in order:
        for i in range(first[k], first[k + 1]):
            c = patches[i]
            if c[OPACITY] <= 0 or c[KIND] == SPOT:
                continue
            left, top, right, bottom = _bounds(c)
            extent[k, 0], extent[k, 1] = min(extent[k, 0], left), min(extent[k, 1], top)
            extent[k, 2], extent[k, 3] = max(extent[k, 2], right), max(extent[k, 3], bottom)
            for y in range(max(0, int(np.ceil(top))), min(height, int(np.floor(bottom)) + 1)):
                for x in range(max(0, int(np.ceil(left))), min(width, int(np.floor(right)) + 1)):
                    if last[y, x] != k and _cover(c, np.float32(x), np.float32(y)) * c[OPACITY] >= 0.5:
                        last[y, x] = k
                        front[y, x] = k
                        whole[k] += 1
    for y in range(height):
        for x in range(width):
            if front[y, x] >= 0:
                seen[front[y, x]] += 1
    return extent, whole, seen, front

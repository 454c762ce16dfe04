"""Paints round cones and soft shadows: into log luminance for the pixels, into linear RGB for a picture.

A cone is the set of discs whose centre and radius pass linearly from one end to the other; its edge is soft over
`EDGE` px. Rows keep the span of columns that were painted, so that nothing else need be looked at.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]

# Columns of a cone on the screen: ends, radii (px), log brightness, its slope along x and y, its drop to the rim,
# amplitude, cycles and phase of the weave, whether its first end is cut straight (0) or round (1), opacity, linear RGB.
AX, AY, BX, BY, RA, RB, LOG, KX, KY, RIM, WEAVE, CYCLES, PHASE, CUT, OPACITY, RED, GREEN, BLUE, COLUMNS = range(19)
# Columns of a shadow: centre, half axes (px), depth (log units).
SX, SY, SRX, SRY, SDEPTH, SHADOW_COLUMNS = range(6)
EDGE = np.float32(1.3)


@njit(cache=True, nogil=True, error_model="numpy")
def cone_span(c: F32, y: int, width: int) -> tuple[int, int]:
    """Columns [x0, x1) outside which the cone `c` paints nothing in row `y` (it may paint less)."""
    ay, by = c[AY], c[BY]
    reach = max(c[RA], c[RB]) + EDGE
    h0, h1 = np.float32(0.0), np.float32(1.0)
    dy = by - ay
    if abs(dy) > 1e-3:
        u, v = (y - reach - ay) / dy, (y + reach - ay) / dy
        h0, h1 = max(h0, min(u, v)), min(h1, max(u, v))
        if h0 > h1:
            return 0, 0
    elif abs(y - ay) > reach:
        return 0, 0
    xa, xb = c[AX] + h0 * (c[BX] - c[AX]), c[AX] + h1 * (c[BX] - c[AX])
    left, right = min(xa, xb) - reach, max(xa, xb) + reach
    if abs(dy) > 1e-3:
        # No farther from the axis, drawn out to a line, than the reach.
        middle = c[AX] + (y - ay) / dy * (c[BX] - c[AX])
        across = reach * np.sqrt((c[BX] - c[AX]) ** 2 + dy * dy) / abs(dy)
        left, right = max(left, middle - across), min(right, middle + across)
    return max(0, int(np.floor(left))), min(width, int(np.ceil(right)) + 1)


@njit(cache=True, nogil=True, error_model="numpy")
def _paint_cone(picture: F32, ramp: F32, c: F32, lo: I32, hi: I32) -> None:
    height, width = picture.shape
    one, zero, half = np.float32(1.0), np.float32(0.0), np.float32(0.5)
    ax, ay, ra, dr = c[AX], c[AY], c[RA], c[RB] - c[RA]
    bx, by = c[BX] - ax, c[BY] - ay
    inv = one / (bx * bx + by * by + np.float32(1e-3))
    log, kx, ky, rim, weave, cycles, phase, opacity = (
        c[LOG], c[KX], c[KY], c[RIM], c[WEAVE], c[CYCLES], c[PHASE], c[OPACITY],
    )  # fmt: skip
    sharp = one / EDGE
    length = np.sqrt(bx * bx + by * by) * sharp
    uncut = half + c[CUT] * np.float32(1e6)
    step = bx * inv
    reach = max(c[RA], c[RB]) + EDGE
    for y in range(max(0, int(min(ay, c[BY]) - reach)), min(height, int(max(ay, c[BY]) + reach) + 2)):
        x0, x1 = cone_span(c, y, width)
        if x0 >= x1:
            continue
        lo[y], hi[y] = min(lo[y], x0), max(hi[y], x1)
        dy = np.float32(y) - ay
        base = dy * by * inv
        row, at = picture[y, x0:x1], ramp[x0:x1]
        for k in range(len(row)):
            dx = at[k] - ax
            along = dx * step + base
            h = min(max(along, zero), one)
            qx, qy = dx - h * bx, dy - h * by
            d2 = qx * qx + qy * qy
            r = ra + h * dr
            alpha = min(max(min((r - np.sqrt(d2)) * sharp + half, along * length + uncut), zero), one) * opacity
            w = h * cycles + phase
            w = w - np.float32(np.int32(w))
            w = w * (one - w)
            i = one / r
            value = log + (qx * kx + qy * ky) * i - rim * d2 * i * i + weave * (np.float32(16.0) * w * w - half)
            row[k] += alpha * (value - row[k])


@njit(cache=True, nogil=True, error_model="numpy")
def paint_log(picture: F32, empty: F32, cones: F32, shadows: F32, lo: I32, hi: I32) -> None:
    """Paint the figure into `picture` [H, W] log luminance, over the `empty` room.

    `cones` [N, COLUMNS] and `shadows` [S, SHADOW_COLUMNS] are painted in order. `lo` `hi` [H] hold the spans painted
    last time: there the room is put back, and they become the spans painted now (lo >= hi: nothing in that row).
    """
    height, width = picture.shape
    ramp = np.arange(width).astype(np.float32)
    for y in range(height):
        for x in range(lo[y], hi[y]):
            picture[y, x] = empty[y, x]
        lo[y], hi[y] = width, 0
    one, zero = np.float32(1.0), np.float32(0.0)
    for k in range(len(shadows)):
        s = shadows[k]
        for y in range(max(0, int(s[SY] - s[SRY])), min(height, int(s[SY] + s[SRY]) + 2)):
            v = (np.float32(y) - s[SY]) / s[SRY]
            x0, x1 = max(0, int(s[SX] - s[SRX])), min(width, int(s[SX] + s[SRX]) + 2)
            if v * v >= one or x0 >= x1:
                continue
            lo[y], hi[y] = min(lo[y], x0), max(hi[y], x1)
            for x in range(x0, x1):
                u = (np.float32(x) - s[SX]) / s[SRX]
                w = max(one - u * u - v * v, zero)
                picture[y, x] -= s[SDEPTH] * w * w
    for k in range(len(cones)):
        if cones[k, OPACITY] > 0:
            _paint_cone(picture, ramp, cones[k], lo, hi)


@njit(cache=True, nogil=True, error_model="numpy")
def paint_rgb(picture: F32, cones: F32, shadows: F32) -> None:
    """Paint the same figure into `picture` [H, W, 3], linear RGB, over whatever it holds."""
    height, width = picture.shape[:2]
    one, zero, half = np.float32(1.0), np.float32(0.0), np.float32(0.5)
    for k in range(len(shadows)):
        s = shadows[k]
        for y in range(max(0, int(s[SY] - s[SRY])), min(height, int(s[SY] + s[SRY]) + 2)):
            v = (np.float32(y) - s[SY]) / s[SRY]
            for x in range(max(0, int(s[SX] - s[SRX])), min(width, int(s[SX] + s[SRX]) + 2)):
                u = (np.float32(x) - s[SX]) / s[SRX]
                w = max(one - u * u - v * v, zero)
                dim = np.exp(-s[SDEPTH] * w * w)
                for k3 in range(3):
                    picture[y, x, k3] *= dim
    for k in range(len(cones)):
        c = cones[k]
        if c[OPACITY] <= 0:
            continue
        reach = max(c[RA], c[RB]) + EDGE
        top, bottom = min(c[AY], c[BY]) - reach, max(c[AY], c[BY]) + reach
        bx, by, dr = c[BX] - c[AX], c[BY] - c[AY], c[RB] - c[RA]
        inv = one / (bx * bx + by * by + np.float32(1e-3))
        length = np.sqrt(bx * bx + by * by) / EDGE
        for y in range(max(0, int(top)), min(height, int(bottom) + 2)):
            x0, x1 = cone_span(c, y, width)
            dy = np.float32(y) - c[AY]
            for x in range(x0, x1):
                dx = np.float32(x) - c[AX]
                along = (dx * bx + dy * by) * inv
                h = min(max(along, zero), one)
                qx, qy = dx - h * bx, dy - h * by
                d2 = qx * qx + qy * qy
                r = c[RA] + h * dr
                cut = along * length + half + c[CUT] * np.float32(1e6)
                alpha = min(max(min((r - np.sqrt(d2)) / EDGE + half, cut), zero), one) * c[OPACITY]
                if alpha > 0:
                    w = h * c[CYCLES] + c[PHASE]
                    w = w - np.float32(np.int32(w))
                    w = w * (one - w)
                    i = one / r
                    shade = (qx * c[KX] + qy * c[KY]) * i - c[RIM] * d2 * i * i
                    light = np.exp(shade + c[WEAVE] * (np.float32(16.0) * w * w - half))
                    for k3 in range(3):
                        picture[y, x, k3] += alpha * (c[RED + k3] * light - picture[y, x, k3])

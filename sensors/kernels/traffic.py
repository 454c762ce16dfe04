"""Cars and pedestrians onto the screen: points of the street projected, corner by corner, into columns of patches.

The arithmetic is that of `sensors.road.street.Street.to_room` and `sensors.scenes.room.View.project`, in the same
order: one call for a car or a crowd in place of dozens on small arrays.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sensors.kernels.patches import CAPSULE, COLUMNS, ELLIPSE, G0, KIND, LUMINANCE, OPACITY, QUAD, SPOT

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Bool = NDArray[np.bool_]


class Eye(NamedTuple):
    """The camera in the street as plain numbers: sines and cosines of its angles, half its picture in px, its place."""

    turn_c: float
    turn_s: float
    distance_m: float
    above_m: float
    tilt_c: float
    tilt_s: float
    focal_px: float
    half_w: float
    half_h: float
    roll_c: float
    roll_s: float
    eye_s: float
    eye_q: float


@njit(cache=True, nogil=True, error_model="numpy")
def project(e: Any, s: float, q: float, up: float) -> tuple[float, float, float]:
    """Picture x, y (px) and depth (m) of one point of the street."""
    x, z = s * e.turn_c - q * e.turn_s, e.distance_m + s * e.turn_s + q * e.turn_c
    y = up - e.above_m
    rise, depth = y * e.tilt_c + z * e.tilt_s, z * e.tilt_c - y * e.tilt_s
    scale = e.focal_px / depth
    across, down = x * scale, -rise * scale
    return (
        e.half_w + across * e.roll_c - down * e.roll_s,
        e.half_h + across * e.roll_s + down * e.roll_c,
        depth,
    )


@njit(cache=True, nogil=True, error_model="numpy")
def car(
    e: Any, points: F64, disc: Bool, middle: F64, normal: F64, log: F64, s: F64, q: float, ahead: float, out: F32
) -> Bool:
    """Patches `out` [T, P, COLUMNS] of a car at `s` [T]; returns [T]: too near to be painted.

    `points` [P, 4, 3] in the car's axes: a quad's corners, or a disc's centre and its rim along two half axes.
    """
    near = np.zeros(len(s), np.bool_)
    xs, ys = np.empty(4), np.empty(4)
    for t in range(len(s)):
        eye_s, eye_q = ahead * (e.eye_s - s[t]), ahead * (e.eye_q - q)
        nearest = np.inf
        for k in range(len(points)):
            c = out[t, k]
            for j in range(4):
                p = points[k, j]
                x, y, z = project(e, s[t] + ahead * p[0], q + ahead * p[1], p[2])
                xs[j], ys[j] = x, y
                nearest = min(nearest, z)
            if disc[k]:
                c[KIND] = ELLIPSE
                c[G0], c[G0 + 1] = xs[0], ys[0]
                c[G0 + 2], c[G0 + 3] = xs[1] - xs[0], ys[1] - ys[0]
                c[G0 + 4], c[G0 + 5] = xs[2] - xs[0], ys[2] - ys[0]
                c[G0 + 6], c[G0 + 7] = 0.0, 0.0
            else:
                c[KIND] = QUAD
                # Summed as numpy sums a row of four: the first, and the others together.
                area = (ys[1] * xs[0] - xs[1] * ys[0]) + (
                    ((ys[2] * xs[1] - xs[2] * ys[1]) + (ys[3] * xs[2] - xs[3] * ys[2]))
                    + (ys[0] * xs[3] - xs[0] * ys[3])
                )
                # Corners run clockwise on the screen: the painter takes inside to be right of each side.
                step = -1 if area < 0 else 1
                for j in range(4):
                    at = (step * j) % 4
                    c[G0 + 2 * j], c[G0 + 2 * j + 1] = xs[at], ys[at]
            m, n = middle[k], normal[k]
            facing = (eye_s - m[0]) * n[0] + ((eye_q - m[1]) * n[1] + (e.above_m - m[2]) * n[2])
            c[OPACITY] = 1.0 if facing > 0 else 0.0
            for j in range(4):
                c[LUMINANCE + j] = log[k, j]
        if nearest < 1.0:
            near[t] = True
            out[t, :, OPACITY] = 0.0
    return near


@njit(cache=True, nogil=True, error_model="numpy")
def spot(e: Any, s: F64, q: float, reach: tuple[float, float, float], depth: float, near: Bool, out: F32) -> None:
    """A soft spot `out` [T, COLUMNS] on the ground; `reach`: how far before `s`, how long and how wide (m).

    `depth` is what it adds to log brightness.
    """
    shift, long, wide = reach
    for t in range(len(s)):
        at = s[t] + shift
        x, y, z = project(e, at, q, 0.0)
        xs, ys, zs = project(e, at + long, q, 0.0)
        xq, yq, zq = project(e, at, q + wide, 0.0)
        c = out[t]
        c[KIND], c[OPACITY] = SPOT, 0.0 if near[t] or min(z, zs, zq) < 1.5 else 1.0
        c[G0], c[G0 + 1] = x, y
        c[G0 + 2], c[G0 + 3], c[G0 + 4], c[G0 + 5] = xs - x, ys - y, xq - x, yq - y
        for j in range(4):
            c[LUMINANCE + j] = depth


@njit(cache=True, nogil=True, error_model="numpy")
def crowd(
    e: Any, body: F64, joint: Any, radius: F64, log: F64, s: F64, q: F64, turn: F64, shade: float, out: F32, ground: F32
) -> None:
    """People `out` [T, N, P, COLUMNS] and shadows `ground` [T, N, COLUMNS] at `s` `q` [T, N] m.

    `body` [J, 3, T, N] are joints in a person's axes (m), `joint` int [P, 2] the two of each limb, `radius` [P, 2, N]
    their radii (m), `log` [N, P, 4] brightness, `turn` [2, N] cosine and sine of where they head, `shade` how dark
    their shadows are.
    """
    joints = len(body)
    xs, ys, scale = np.empty(joints), np.empty(joints), np.empty(joints)
    for t in range(s.shape[0]):
        for n in range(s.shape[1]):
            cos, sin, nearest = turn[0, n], turn[1, n], np.inf
            for j in range(joints):
                ahead, left = body[j, 0, t, n], body[j, 1, t, n]
                x, y, z = project(
                    e, s[t, n] + ahead * cos - left * sin, q[t, n] + ahead * sin + left * cos, body[j, 2, t, n]
                )
                xs[j], ys[j] = x, y
                scale[j] = e.focal_px / max(z, 0.5)
                nearest = min(nearest, z)
            opacity = 0.0 if nearest < 1.0 else 1.0
            for k in range(len(joint)):
                a, b, c = joint[k, 0], joint[k, 1], out[t, n, k]
                c[KIND], c[OPACITY] = CAPSULE, opacity
                c[G0], c[G0 + 1], c[G0 + 2], c[G0 + 3] = xs[a], ys[a], xs[b], ys[b]
                c[G0 + 4], c[G0 + 5] = radius[k, 0, n] * scale[a], radius[k, 1, n] * scale[b]
                for m in range(4):
                    c[LUMINANCE + m] = log[n, k, m]
            x, y, z = project(e, s[t, n], q[t, n], 0.0)
            wide = 0.5 * e.focal_px / max(z, 0.5)
            c = ground[t, n]
            c[KIND], c[OPACITY] = SPOT, opacity
            c[G0], c[G0 + 1], c[G0 + 2] = x, y, wide
            c[G0 + 5] = wide * e.above_m / max(z, 0.5)
            for m in range(4):
                c[LUMINANCE + m] = shade


__all__ = ["COLUMNS", "Eye", "car", "crowd", "project", "spot"]

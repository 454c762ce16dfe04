"""Clips of a person acting in a room, with the exact box of the body: for a detector that looks from a desk.

The simulated people are those of the actions; their boxes come from the same cones that are painted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evpipe.packets import Events
from operators.learn.detector.simulated import Truth
from sensors.road.scene import LABELS

if TYPE_CHECKING:
    from sensors.scenes.stage import Stage

_WHO = 120  # keeps the random stream of who does what apart
THRESHOLD = 0.25  # mean contrast of an event, as the simulated cameras have it


def clip_events(scene: int, clip_us: int, bin_us: int, size: tuple[int, int]) -> tuple[Events, Truth]:
    """One clip: a person and an action that `scene` draws, and the person's box at the end of each bin."""
    from sensors.scenes.actions import ACTIONS
    from sensors.scenes.pixels import BLOCK_US, film
    from sensors.scenes.script import BLEND_US, SUBJECTS, Script
    from sensors.scenes.stage import Stage, pixels_before

    rng = np.random.default_rng([scene, _WHO])
    action, subject = list(ACTIONS)[int(rng.integers(len(ACTIONS)))], int(rng.integers(SUBJECTS))
    script = Script(scene, subject, action, max(clip_us, BLEND_US) + BLOCK_US)
    stage = Stage(script, size, scene, oversample=1)
    events = film(pixels_before(stage, THRESHOLD, 1.0, scene), clip_us)
    t_us = np.arange(bin_us, clip_us + 1, bin_us, dtype=np.int64)
    corners, seen = body_boxes(stage, t_us)
    there = seen > 0
    labels = np.full(len(t_us), LABELS.index("pedestrian"))
    return events, Truth(t_us[there], corners[there], labels[there], seen[there])


def body_boxes(stage: Stage, t_us: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Corners [T, 4] of the person in px, cut to the picture, and the share [T] of the whole box that is inside.

    The stool, where there is one, does not count.
    """
    from sensors.scenes.body import PARTS
    from sensors.scenes.figure import CONE_CUT, CONE_PART

    body, _, _ = stage.script.at(t_us)
    view = stage.view
    own = np.array([not PARTS[part].startswith("seat") for part in CONE_PART])
    ax, ay, az = view.project(body.a[:, own])
    bx, by, bz = view.project(body.b[:, own])
    ra, rb = body.ra[:, own] * view.focal_px / az, body.rb[:, own] * view.focal_px / bz
    # A hem ends straight at `a`: there only the ends of its line reach out.
    length = np.hypot(bx - ax, by - ay) + 1e-9
    cut = CONE_CUT[own]
    across = np.where(cut, ra * np.abs(by - ay) / length, ra)
    down = np.where(cut, ra * np.abs(bx - ax) / length, ra)
    whole = np.stack(
        [
            np.minimum(ax - across, bx - rb).min(1),
            np.minimum(ay - down, by - rb).min(1),
            np.maximum(ax + across, bx + rb).max(1),
            np.maximum(ay + down, by + rb).max(1),
        ],
        -1,
    )
    most = np.array([view.width_px, view.height_px] * 2, float)
    inside = np.clip(whole, 0, most)
    seen = _area(inside) / _area(whole)
    return inside.astype(np.float32), seen.astype(np.float32)


def _area(corners: NDArray[Any]) -> NDArray[Any]:
    area: NDArray[Any] = (corners[:, 2:] - corners[:, :2]).prod(1)
    return area

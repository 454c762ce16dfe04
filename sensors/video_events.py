"""Video to events: what contrast-threshold pixels would have reported between the pictures of a video.

The scene between two pictures is made up: held until the next one, run over linearly in log intensity, or moved along
the optical flow. For anything that has pictures with times: files, webcams, frames of a recording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, get_args

import numpy as np

from evpipe.errors import InputError, UsageError
from evpipe.packets import F32, U8
from sensors.formats.reader import Account, EventChunk, FrameChunk
from sensors.video_pixels import LONGEST_US, PixelArray, Pixels, log_intensity, nothing

Between = Literal["none", "linear", "flow"]
"""How the scene goes from one picture to the next: at once, linearly in log intensity, moved by optical flow."""

JUMP_US = 1_000  # with "none", how long a change takes: about as long as a monitor's
MOST_STEPS = 1_000


def events_of(
    frames: Iterable[FrameChunk],
    pixels: Pixels | None = None,
    *,
    between: Between = "linear",
    steps: int = 10,
    seed: int = 0,
    account: Account | None = None,
) -> Iterator[EventChunk]:
    """One chunk for each picture after the first: the events of [time of the picture before, its own time).

    A picture's time is the middle of its exposure, in us; images are uint8 [H, W] or RGB [H, W, 3], all of one size
    H, W <= 65,535 px. Chunks are sorted by `t` int64 us, their memory is their own, and they may be empty: time passed
    without events. `pixels` None: `Pixels()`. `steps`: moments at which the scene is made up between two pictures, for
    `flow` and for `cutoff_hz`; `linear` alone is exact in one. Two pictures are kept, so memory is constant. Equal
    frames, parameters and `seed` (>= 0) give equal events (`flow` asks equal versions of OpenCV too). `account` is told
    how many pictures were left out because time did not advance (they give no chunk), and how many came more than
    `LONGEST_US` after the one before: there the pixels begin anew, and the chunk is empty.
    Raises UsageError at once for parameters out of range, InputError for a picture of another size.
    """
    pixels = pixels or Pixels()
    faults = pixels.faults()
    if between not in get_args(Between):
        faults.append(f"between is {between!r}; it must be one of {', '.join(get_args(Between))}")
    if not 1 <= steps <= MOST_STEPS:
        faults.append(f"steps is {steps}; it must be 1 to {MOST_STEPS}")
    if faults:
        raise UsageError(f"events of video: {'; '.join(faults)}")
    return _events(frames, pixels, between, steps, seed, account or Account())


def _events(
    frames: Iterable[FrameChunk], pixels: Pixels, between: Between, steps: int, seed: int, account: Account
) -> Iterator[EventChunk]:
    array: PixelArray | None = None
    log = np.empty((0, 0), np.float32)
    for t0, t1, before, after in _pairs(frames, account):
        if array is None:
            log = log_intensity(before, pixels)
            array = PixelArray(log, pixels, seed)
        seen, log = log, log_intensity(after, pixels)
        if t1 - t0 > LONGEST_US:
            account.note("pauses of more than a second between two pictures, after which pixels begin anew", 1)
            array.begin(log)
            yield nothing()
            continue
        ends = set()
        if between == "flow" or pixels.cutoff_hz is not None:
            ends = {t0 + (t1 - t0) * k // steps for k in range(1, steps)}
        if between == "flow":
            from sensors.flow import moved

            at = moved(seen, log, before, after)
        else:
            at = _blended(seen, log)
        jump_us = min(JUMP_US, t1 - t0) if between == "none" else t1 - t0
        moments = [*sorted((ends | {t1 - jump_us}) - {t0}), t1]
        yield array.run(t0, t1, ((t, at(max(0.0, 1 - (t1 - t) / jump_us))) for t in moments))


def _blended(before: F32, after: F32) -> Callable[[float], F32]:
    """The scene at a share (0 to 1) of the way, linear in log intensity; at the ends exact."""

    def at(share: float) -> F32:
        if share in (0, 1):
            return after if share else before
        return before + np.float32(share) * (after - before)

    return at


def _pairs(frames: Iterable[FrameChunk], account: Account) -> Iterator[tuple[int, int, U8, U8]]:
    """Each two pictures that follow each other, with their times in us; the first is a copy."""
    before_us, before = 0, None
    for frame in frames:
        t_us, image = (frame.start_us + frame.end_us) // 2, frame.image
        if before is None:
            before_us, before = t_us, image.copy()
        elif image.shape != before.shape:
            raise InputError(
                f"the picture at {t_us} us is {_size(image)} and those before are {_size(before)}; "
                "events need pictures of one size: cut the video where it changes"
            )
        elif t_us <= before_us:
            account.note("pictures left out because their time did not advance", 1)
        else:
            yield before_us, t_us, before, image
            before_us, before = t_us, image.copy()


def _size(image: U8) -> str:
    return f"{image.shape[1]} x {image.shape[0]} px, {'grey' if image.ndim == 2 else 'colour'}"

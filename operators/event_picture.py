"""Pictures for the fusion network: events of an exposure painted on white, cropped and shrunk as the RGB frame is.

One way for training and live use. Colours and window are those of the extractor that made HARDVS 2.0 and COESOT.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evpipe.errors import UsageError
from evpipe.packets import F32, U8, Events

MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
"""Mean and deviation of ImageNet's red, green and blue, 0..255: both modalities are normalised by them."""


class Region(NamedTuple):
    """A rectangle of a picture, px."""

    top: int
    left: int
    height: int
    width: int


class Painted(NamedTuple):
    """`picture` uint8 [H, W, 3] RGB at sensor size; events painted by polarity; events that lay outside the sensor."""

    picture: U8
    on: int
    off: int
    outside: int


def paint_events(events: Events, t0_us: int, t1_us: int) -> Painted:
    """The events of [t0_us, t1_us) on white: ON (220, 30, 30), OFF (30, 30, 200), OFF where a pixel had both.

    How often a pixel fired does not show. Without events the picture is white, which is not a missing one.
    """
    from operators.kernels.event_picture import paint

    picture = np.full((events.height, events.width, 3), 255, np.uint8)
    t, x, y, p = (np.ascontiguousarray(column) for column in (events.t, events.x, events.y, events.p))
    return Painted(picture, *paint(t, x, y, p, t0_us, t1_us, picture))


def centre(sensor: tuple[int, int], size: tuple[int, int]) -> Region:
    """The largest centred rectangle of a sensor (height, width) with the sides' ratio of `size` (height, width)."""
    (height, width), (h, w) = sensor, size
    tall, wide = min(height, width * h // w), min(width, height * w // h)
    return Region((height - tall) // 2, (width - wide) // 2, tall, wide)


def shrunk(picture: U8, size: tuple[int, int], region: Region | None = None) -> U8:
    """A picture uint8 [H, W, 3] or grey [H, W] -> uint8 [h, w, 3] of `size`, by area averages of a region.

    Without one it is the largest centred rectangle of that shape. Raises UsageError for a region beyond the picture.
    """
    from operators.kernels.event_picture import average

    height, width = picture.shape[:2]
    region = region or centre((height, width), size)
    top, left, tall, wide = region
    if min(top, left) < 0 or min(tall, wide) < 1 or top + tall > height or left + wide > width:
        raise UsageError(f"region {region} does not lie in a picture of {height} x {width} px (height x width)")
    channels = 1 if picture.ndim == 2 else picture.shape[2]
    out = np.empty((*size, channels), np.uint8)
    average(np.ascontiguousarray(picture).reshape(height, width, channels), *region, out)
    return out if channels == 3 else np.repeat(out, 3, axis=2)


def normalised(pictures: NDArray[np.uint8]) -> F32:
    """Pictures uint8 [..., H, W, 3] -> float32 [..., 3, H, W], each colour less its mean by its deviation."""
    values = (pictures.astype(np.float32) - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return np.ascontiguousarray(np.moveaxis(values, -1, -3))

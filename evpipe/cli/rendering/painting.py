"""Shades to colours: cut out, made larger or smaller without losing single pixels, over a camera's frame if wanted."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from evpipe.packets import U8
from evpipe.view.palettes import PALETTES, Palette, colour_table

_DIMMED = 0.65  # how much of a frame's contrast is left under events


class Box(NamedTuple):
    """Columns [x0, x1) and rows [y0, y1) of the sensor."""

    x0: int
    y0: int
    x1: int
    y1: int


class Painting:
    """Makes BGR pictures, uint8 [H, W, 3], of shades [h, w] and frames.

    `scale` is a whole number, each pixel then being a square, or 1 / n, where each n x n pixels become their strongest.
    `box` is the part of the sensor that is shown (None: all). Sides are even, as video wants them: a border is added.
    """

    def __init__(self, palette: Palette, shades: int, scale: Fraction, box: Box | None = None) -> None:
        colours = PALETTES[palette]
        rgb = np.array(colour_table(colours, shades), np.uint32)
        self.table: U8 = np.zeros((256, 1, 3), np.uint8)
        for channel, shift in enumerate((0, 8, 16)):
            self.table[: len(rgb), 0, channel] = rgb >> shift & 0xFF
        self._background = np.array(colours.background[::-1], np.uint8)
        self._full = np.array([colours.off[::-1], colours.on[::-1]], np.float32)
        self._light = sum(colours.background) > 3 * 128
        self._shades, self.scale, self._box = shades, scale, box
        self._order, self._unorder = _orders(shades)

    def paint(self, shades: U8 | None, frame: U8 | None) -> U8:
        """The picture of one moment. At least one of the two is there."""
        import cv2

        assert shades is not None or frame is not None
        sized = None if shades is None else self._sized(shades)
        if frame is None:
            assert sized is not None
            return _even(np.asarray(cv2.applyColorMap(sized, self.table)), self._background)
        size = None if sized is None or shades is None else (sized.shape, shades.shape)
        under = self._under(frame, size)
        if sized is not None:
            self._blend(under, sized)
        return _even(under, self._background)

    def _sized(self, shades: U8) -> U8:
        import cv2

        if self._box:
            shades = shades[self._box.y0 : self._box.y1, self._box.x0 : self._box.x1]
        if self.scale >= 1:
            n = int(self.scale)
            return np.asarray(cv2.resize(shades, None, fx=n, fy=n, interpolation=cv2.INTER_NEAREST))
        n = self.scale.denominator
        ranked = np.asarray(cv2.LUT(shades, self._order))
        ranked = np.pad(ranked, [(0, -side % n) for side in shades.shape])
        height, width = ranked.shape
        strongest = ranked.reshape(height // n, n, width // n, n).max(axis=(1, 3))
        return np.asarray(cv2.LUT(strongest, self._unorder))

    def _under(self, frame: U8, size: tuple[tuple[int, ...], tuple[int, ...]] | None) -> U8:
        """The frame in BGR; under events (of a sized and a sensor shape) cut and sized like them, and dimmed."""
        import cv2

        image = frame if frame.ndim == 3 else np.repeat(frame[:, :, None], 3, axis=2)
        image = np.ascontiguousarray(image[:, :, ::-1])
        if size is None:
            n = float(self.scale)
            way = cv2.INTER_AREA if n < 1 else cv2.INTER_CUBIC
            return np.asarray(cv2.resize(image, None, fx=n, fy=n, interpolation=way))
        (height, width), (rows, columns) = size
        if self._box:  # in the frame's own pixels, which may be others than the sensor's
            down, across = frame.shape[0] / rows, frame.shape[1] / columns
            x0, y0, x1, y1 = self._box
            image = image[int(y0 * down) : max(1, int(y1 * down)), int(x0 * across) : max(1, int(x1 * across))]
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC))
        toward = 255.0 * (1 - _DIMMED) if self._light else 0.0
        return np.asarray(cv2.convertScaleAbs(image, alpha=_DIMMED, beta=toward))

    def _blend(self, under: U8, shades: U8) -> None:
        """Events over the frame, the weaker the more it shines through."""
        at = np.flatnonzero(shades)
        rank = shades.reshape(-1)[at].astype(np.int64) - 1
        part = (0.35 + 0.65 * (rank % self._shades + 1) / self._shades).astype(np.float32)[:, None]
        pixels = under.reshape(-1, 3)
        below = pixels[at].astype(np.float32)
        pixels[at] = (below + (self._full[rank // self._shades] - below) * part + 0.5).astype(np.uint8)


def _orders(shades: int) -> tuple[U8, U8]:
    """Tables from shades to ranks, in which the strength goes before the polarity, and back."""
    order, back = np.zeros(256, np.uint8), np.zeros(256, np.uint8)
    for shade in range(1, 2 * shades + 1):
        brighter, strength = divmod(shade - 1, shades)
        order[shade] = 1 + 2 * strength + brighter
        back[order[shade]] = shade
    return order, back


def _even(picture: U8, background: U8) -> U8:
    """The picture with a column or row of background where a side is odd."""
    height, width = picture.shape[:2]
    if not (height % 2 or width % 2):
        return picture
    whole = np.empty((height + height % 2, width + width % 2, 3), np.uint8)
    whole[:] = background
    whole[:height, :width] = picture
    return whole

"""Small labels in a picture's corner: time, rate of events, speed, what the colours mean.

The typeface is DejaVu Sans, which comes with matplotlib; Pillow draws it, so that no display and no Qt is needed.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from evpipe.cli.rendering.film import Moment
from evpipe.packets import U8
from evpipe.view.palettes import PALETTES, Palette
from evpipe.view.words import rate

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Item = Literal["time", "rate", "speed", "legend"]
ITEMS: tuple[Item, ...] = ("time", "rate", "speed", "legend")
TEXT = (243, 237, 233)  # BGR of the window's labels
PLATE = (28, 21, 16)
_OPACITY = 0.82
_SMOOTH = 4  # supersampling of a plate's round corners


class Caption:
    """Draws the labels `items` into pictures of one size. A label never becomes narrower, so that none jitters.

    The rate is that of a quarter of a second of the film at a time, so that it can be read. `speed` is drawn where the
    film is slower or faster than the recording; labels that find no room are left out.
    """

    def __init__(self, items: tuple[Item, ...], height: int, palette: Palette, fps: float, slow: float) -> None:
        self._items = items
        self._px = max(11, min(30, round(height / 36)))
        self._palette = palette
        self._slow = slow
        self._held: deque[tuple[int, int]] = deque()
        self._hold = max(1, round(fps / 4))
        self._rate = ""
        self._widths: dict[Item, int] = {}

    def draw(self, picture: U8, moment: Moment) -> None:
        """Write into BGR `picture`, uint8 [H, W, 3]."""
        texts: dict[Item, str] = {
            "time": time_text(moment.since_us, self._slow),
            "rate": self._held_rate(moment),
            "speed": speed_text(self._slow),
        }
        margin = self._px * 3 // 4
        at = margin
        for item in self._items:
            label = self._legend() if item == "legend" else _label(texts[item], self._px)
            if label is None:
                continue
            width = self._width(item, label)
            if at + width > picture.shape[1] - margin:
                continue
            height = self._px * 15 // 8
            top = picture.shape[0] - margin - height
            if top < 0:
                continue
            _put(picture[top : top + height, at : at + width], label, self._px)
            at += width + self._px // 2

    def _width(self, item: Item, label: U8) -> int:
        """Of the plate: room for the usual digits from the start, and as much as it ever needed."""
        usual = {"time": time_text(58_888_888, self._slow), "rate": "88.8 Mev/s"}.get(item)
        least = self._widths.get(item) or (0 if usual is None else _mask(usual, self._px).shape[1])
        self._widths[item] = max(label.shape[1], least)
        return self._widths[item] + 2 * (self._px * 5 // 8)

    def _held_rate(self, moment: Moment) -> str:
        self._held.append((moment.n_events, moment.passed_us))
        if len(self._held) >= self._hold or not self._rate:
            us = sum(passed for _, passed in self._held)
            self._rate = rate(sum(n for n, _ in self._held) * 1e6 / max(us, 1))
            if len(self._held) >= self._hold:
                self._held.clear()
        return self._rate

    def _legend(self) -> U8:
        return _legend(self._palette, self._px)


def time_text(us: int, slow: float) -> str:
    """`12.34 s`, from a minute on `1:02.34`; the slower the film, the more digits."""
    digits = 2 if slow < 3 else 3 if slow < 30 else 4 if slow < 300 else 6
    minutes, rest = divmod(us // 10 ** (6 - digits), 60 * 10**digits)
    seconds, part = divmod(rest, 10**digits)
    if minutes:
        return f"{minutes}:{seconds:02}.{part:0{digits}}"
    return f"{seconds}.{part:0{digits}} s"


def speed_text(slow: float) -> str:
    """`10x slower`, `4x faster`; nothing at the speed of the recording."""
    if slow == 1:
        return ""
    return f"{slow:.4g}x slower" if slow > 1 else f"{1 / slow:.4g}x faster"


@lru_cache(maxsize=2)
def _font(px: int) -> FreeTypeFont:
    from PIL import ImageFont

    found = find_spec("matplotlib")
    assert found is not None
    assert found.origin is not None
    return ImageFont.truetype(Path(found.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf", px)


@lru_cache(maxsize=64)
def _label(text: str, px: int) -> U8 | None:
    """BGRA uint8 [h, w, 4] of a line of text, as high as all its typeface's lines; None for no text."""
    if not text:
        return None
    mask = _mask(text, px)
    label = np.empty((*mask.shape, 4), np.uint8)
    label[:, :, :3], label[:, :, 3] = TEXT, mask
    return label


def _mask(text: str, px: int) -> U8:
    from PIL import Image, ImageDraw

    font = _font(px)
    up, down = font.getmetrics()
    image = Image.new("L", (int(font.getlength(text)) + 2, up + down))
    ImageDraw.Draw(image).text((1, 0), text, 255, font)
    return np.asarray(image)


@lru_cache(maxsize=2)
def _legend(palette: Palette, px: int) -> U8:
    """BGRA of ON and OFF, each behind a dot of its colour."""
    colours = PALETTES[palette]
    parts = []
    for name, colour in (("ON", colours.on), ("OFF", colours.off)):
        text = _label(name, px)
        assert text is not None
        dot = np.zeros((len(text), px * 5 // 4, 4), np.uint8)
        dot[:, :, :3] = colour[::-1]
        y, x = np.ogrid[: dot.shape[0], : dot.shape[1]]
        radius = px * 0.36
        away = np.hypot(y + 0.5 - dot.shape[0] / 2, x + 0.5 - px * 0.45)
        dot[:, :, 3] = ((radius + 0.5 - away).clip(0, 1) * 255).astype(np.uint8)
        parts += [dot, text, np.zeros((len(text), px * 3 // 4, 4), np.uint8)]
    return np.concatenate(parts[:-1], axis=1)


@lru_cache(maxsize=8)
def _plate(height: int, width: int) -> NDArray[np.float32]:
    """Opacity [height, width, 1] of a plate with round corners."""
    from PIL import Image, ImageDraw

    n = _SMOOTH
    image = Image.new("L", (width * n, height * n))
    ImageDraw.Draw(image).rounded_rectangle((0, 0, width * n - 1, height * n - 1), height * n * 0.28, 255)
    small = image.resize((width, height), Image.Resampling.BOX)
    return np.asarray(small, np.float32)[:, :, None] * np.float32(_OPACITY / 255)


def _put(at: U8, label: U8, px: int) -> None:
    """Blend a plate, and the label in the middle of its height, into the part `at` of a picture."""
    height, width = at.shape[:2]
    plate = _plate(height, width)
    mixed = at + (np.array(PLATE, np.float32) - at) * plate
    top, left = (height - len(label)) // 2, px * 5 // 8
    part = mixed[top : top + len(label), left : left + label.shape[1]]
    part += (label[:, :, :3] - part) * (label[:, :, 3:] * np.float32(1 / 255))
    at[:] = (mixed + 0.5).astype(np.uint8)

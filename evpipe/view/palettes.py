"""Colours of events: background, brighter (ON) and darker (OFF), and the tables that colour shades with them."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

Rgb = tuple[int, int, int]
Palette = Literal["dark", "light", "colour_blind", "grey"]
NAMES: tuple[Palette, ...] = get_args(Palette)


class EventColours(msgspec.Struct, frozen=True):
    """RGB, 0 to 255 each. `grid` is drawn between pixels at high zoom."""

    title: str
    background: Rgb
    on: Rgb
    off: Rgb
    grid: Rgb


# "colour blind" takes orange and sky blue of Okabe and Ito's set, told apart in every common form of colour blindness.
PALETTES: dict[Palette, EventColours] = {
    "dark": EventColours("dark", (11, 14, 19), (255, 241, 214), (64, 140, 255), (30, 36, 46)),
    "light": EventColours("light", (246, 245, 241), (41, 98, 214), (32, 35, 42), (224, 222, 215)),
    "colour_blind": EventColours("colour-blind safe", (8, 8, 10), (240, 160, 10), (86, 180, 233), (28, 30, 34)),
    "grey": EventColours("grey", (92, 95, 100), (255, 255, 255), (8, 9, 11), (104, 107, 112)),
}


def colour_table(colours: EventColours, shades: int) -> list[int]:
    """0xffRRGGBB for shade 0 (background), 1..shades (OFF) and shades+1..2 shades (ON), the last of each full."""
    table = [colours.background]
    for full in (colours.off, colours.on):
        for shade in range(1, shades + 1):
            part = 0.42 + 0.58 * shade / shades if shades <= 4 else (0.16 + 0.84 * (shade / shades) ** 1.2)
            table.append(mix(colours.background, full, part))
    return [0xFF000000 | r << 16 | g << 8 | b for r, g, b in table]


def mix(a: Rgb, b: Rgb, part: float) -> Rgb:
    """The colour `part` of the way from a to b."""
    r, g, b_ = (round(x + (y - x) * part) for x, y in zip(a, b, strict=True))
    return r, g, b_

"""What a rendering is asked for, in checked values, and what was made of a recording."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Literal

import msgspec

from evpipe.cli.rendering.caption import Item
from evpipe.cli.rendering.event_pictures import Mode
from evpipe.cli.rendering.files import Kind
from evpipe.view.palettes import Palette


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """How pictures are made. Times are us of sensor time, from the first event on.

    `scale` None: what fits the usual room. `size` (height, width) and `encoding` are for recordings that say neither.
    """

    fps: Fraction
    slow: Fraction
    from_us: int = 0
    to_us: int | None = None
    at_us: int | None = None
    accumulate_us: int
    mode: Mode = "polarity"
    palette: Palette = "dark"
    items: tuple[Item, ...] = ()
    frames: bool = False
    scale: Fraction | None = None
    crop: bool = False
    size: tuple[int, int] | None = None
    encoding: Literal["evt2", "evt21", "evt3", "evt4"] | None = None

    @property
    def step_us(self) -> Fraction:
        """Sensor time from one picture to the next."""
        return 1_000_000 / (self.fps * self.slow)


class Job(msgspec.Struct, frozen=True):
    """One recording, and what becomes of it."""

    path: str
    out: Path
    kind: Kind


class Rendered(msgspec.Struct):
    """What was made. `wall_s` is the time it took here, `error` what the recording ended with."""

    path: str
    out: str
    pictures: int = 0
    width: int = 0
    height: int = 0
    events: int = 0
    film_s: float = 0.0
    sensor_s: float = 0.0
    wall_s: float = 0.0
    notes: list[str] = msgspec.field(default_factory=list)
    error: str = ""

"""How large a sensor is of which a file only says the events: the smallest usual one that holds them all."""

from __future__ import annotations

# (width, height), the smallest first.
SENSORS = (
    (34, 34),
    (128, 128),
    (240, 180),
    (304, 240),
    (320, 240),
    (346, 260),
    (320, 320),
    (640, 480),
    (1280, 720),
    (1280, 800),
)
MAX_SIDE = 2**14
"""The most rows or columns that are believed."""


def smallest(x: int, y: int) -> tuple[int, int]:
    """(width, height) of the smallest usual sensor with a pixel (x, y); beyond all of them just what holds it."""
    return next((size for size in SENSORS if x < size[0] and y < size[1]), (x + 1, y + 1))


def note(size: tuple[int, int]) -> str:
    """The note that a reader enters once."""
    return f"the file gives no size of the sensor: {size[0]}x{size[1]} was taken from its events"


def believed(width: object, height: object) -> tuple[int, int] | None:
    """(width, height) of what a header says, if it is a size that a sensor may have."""
    try:
        size = int(str(width)), int(str(height))
    except ValueError:
        return None
    return size if 0 < size[0] <= MAX_SIDE and 0 < size[1] <= MAX_SIDE else None

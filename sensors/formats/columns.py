"""Columns of any number type, as data sets keep events: which is which, what unit the times have, what cannot be.

For HDF5, numpy arrays and text, none of which says this in one agreed way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sensors.formats import geometry
from sensors.formats.reader import Account, EventChunk, outside_text

Unit = Literal["s", "us", "ns"]
Columns4 = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]

NAMES = {
    "t": ("t", "ts", "time", "times", "timestamp", "timestamps", "t[s]", "t_us", "t[us]", "ts_us"),
    "x": ("x", "xs", "x_coordinate", "col", "column"),
    "y": ("y", "ys", "y_coordinate", "row"),
    "p": ("p", "ps", "pol", "pols", "polarity", "polarities", "on"),
}
# Orders of four columns without names, the most usual first.
ORDERS = ("txyp", "xytp", "xypt", "tyxp")
_NS = 10**17  # integer times beyond it are ns: in us they would lie in the year 5138
_MOST = 2**62
_MOST_GOOD = 0.9  # of a sample; fewer are no events that are damaged here and there


def named(names: Iterable[str]) -> tuple[str, str, str, str] | None:
    """Which of these names stand for t, x, y and p (whatever their case); None if one is missing or doubly there."""
    found = []
    lower = {name.strip().lower(): name for name in names}
    for aliases in NAMES.values():
        fitting = [lower[alias] for alias in aliases if alias in lower]
        if len(fitting) != 1:
            return None
        found.append(fitting[0])
    return found[0], found[1], found[2], found[3]


def order_of(sample: Sequence[NDArray[Any]]) -> str | None:
    """The one of `ORDERS` in which four unnamed columns can be events; None: they are none.

    Polarities are -1, 0 or 1, times run on but for rare steps back, coordinates are whole and small, each but for
    damage here and there. Where several fit, times are what is largest.
    """
    columns = [np.asarray(column, np.float64) for column in sample]
    if len(columns) != 4 or not len(columns[0]):
        return None
    fitting: list[tuple[float, int, str]] = []
    for order in ORDERS:
        t, x, y, p = (columns[order.index(name)] for name in "txyp")
        places = np.stack([x, y])
        small = ((places >= 0) & (places < geometry.MAX_SIDE) & (places == np.floor(places))).all(0)
        good = small & np.isin(p, (-1, 0, 1)) & (t >= 0)
        t = t[good]
        runs_on = np.count_nonzero(np.diff(t) < 0) <= len(t) // 20
        if runs_on and np.count_nonzero(good) > _MOST_GOOD * len(good):
            fitting.append((-float(np.median(t)), len(fitting), order))
    return min(fitting)[2] if fitting else None


def unit_of(t: NDArray[Any], name: str = "") -> Unit:
    """The unit of times, by their name, else by themselves: fractions are seconds, 18 digits and more ns, others us."""
    if name.strip().lower() == "t[s]":
        return "s"
    finite = t[np.isfinite(t)] if t.dtype.kind == "f" else t
    if t.dtype.kind == "f" and bool((finite != np.floor(finite)).any()):
        return "s"
    return "ns" if len(finite) and float(finite.max()) > _NS else "us"


def in_us(t: NDArray[Any], unit: Unit) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Times in us, rounded to the nearest (ns: rounded down), and which of them can be times at all."""
    if t.dtype.kind == "f" or unit == "s":
        scaled = np.asarray(t, np.float64) * {"s": 1e6, "us": 1.0, "ns": 1e-3}[unit]
        good = np.abs(scaled) < _MOST  # not for NaN
        rounded = np.floor(scaled) if unit == "ns" else np.rint(scaled)
        return np.where(good, rounded, 0).astype(np.int64), good
    good = (t < _MOST) & (t > -_MOST) if t.dtype.itemsize == 8 else np.ones(len(t), bool)
    us = np.where(good, t, 0).astype(np.int64)
    return us // 1000 if unit == "ns" else us, good


class Sieve:
    """Turns columns of any number type into those of a chunk; counts what cannot be an event."""

    def __init__(self, size: tuple[int, int], unit: Unit) -> None:
        """`size` is (width, height) in pixels."""
        self._size, self._unit = size, unit
        self.outside = self.untimed = 0
        self.first_outside = self.first_untimed = -1

    def __call__(self, columns: Columns4, offset: int, step: int) -> EventChunk:
        """The events of t, x, y, p; row k of them lies at byte `offset + k * step` of the file."""
        t, x, y, p = columns
        us, timed = in_us(t, self._unit)
        inside = (x >= 0) & (x < self._size[0]) & (y >= 0) & (y < self._size[1])
        if not timed.all():
            self.first_untimed = offset + step * int(np.argmin(timed)) if not self.untimed else self.first_untimed
            self.untimed += int(np.count_nonzero(~timed))
        if not (inside | ~timed).all():
            if not self.outside:
                self.first_outside = offset + step * int(np.argmin(inside | ~timed))
            self.outside += int(np.count_nonzero(timed & ~inside))
        keep = inside & timed
        if not keep.all():
            us, x, y, p = us[keep], x[keep], y[keep], p[keep]
        return EventChunk(us, x.astype(np.uint16), y.astype(np.uint16), (p > 0).astype(np.uint8))

    def tell(self, account: Account) -> None:
        """Enter what was left out."""
        if self.outside:
            account.lost(self.first_outside, outside_text(self.outside, self._size))
        if self.untimed:
            what = f"{self.untimed} events have no time that can be and were dropped; this is the first"
            account.lost(self.first_untimed, what)


class Extent:
    """The farthest pixel of columns, to choose a sensor by."""

    def __init__(self) -> None:
        self._x = self._y = 0

    def add(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        """Take in coordinates; those that no sensor has do not count."""
        good = (x >= 0) & (x < geometry.MAX_SIDE) & (y >= 0) & (y < geometry.MAX_SIDE)
        if good.any():
            self._x, self._y = max(self._x, int(x[good].max())), max(self._y, int(y[good].max()))

    def sensor(self) -> tuple[int, int]:
        """(width, height) of the smallest usual sensor with all pixels."""
        return geometry.smallest(self._x, self._y)

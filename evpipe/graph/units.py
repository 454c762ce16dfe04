"""Numbers with units: `20ms`, `1.5 s`, `64 MiB`, `10 Mev/s`, `50 %`, converted exactly, as fractions."""

from __future__ import annotations

import re
from fractions import Fraction

from evpipe.graph.faults import nearest

_METRIC = {"": Fraction(1), "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9)}
_TIME = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),
    "μs": Fraction(1, 10**6),
    "ms": Fraction(1, 10**3),
    "s": Fraction(1),
    "min": Fraction(60),
    "h": Fraction(3600),
}
_BYTES = {prefix + "B": factor for prefix, factor in _METRIC.items()} | {
    f"{prefix}iB": Fraction(1024**power) for power, prefix in enumerate("KMGT", 1)
}
_BYTES |= {"TB": Fraction(10**12)}
_SHARE = {"%": Fraction(1, 100), "": Fraction(1)}

# Units that convert into each other, each with its size in the first of its kind.
DIMENSIONS: tuple[dict[str, Fraction], ...] = (
    _TIME,
    _BYTES,
    {unit + "/s": factor for unit, factor in _BYTES.items()},
    {prefix + "ev": factor for prefix, factor in _METRIC.items()},
    {prefix + "ev/s": factor for prefix, factor in _METRIC.items()},
    {prefix + "Hz": factor for prefix, factor in _METRIC.items()},
    {"V": Fraction(1), "mV": Fraction(1, 1000)},
    _SHARE,
)

_QUANTITY = re.compile(r"\s*(?P<number>[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(?P<unit>[^\d\s].*?)?\s*")


class UnfitValueError(ValueError):
    """A value breaks a rule of its parameter; `hint` says what would do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def quantity(text: str, unit: str | None) -> Fraction | None:
    """A number with its unit, in `unit`; None when the text is no number with a unit.

    A bare number counts in `unit`; a percentage is a share of 1 where no unit is asked. Raises UnfitValueError for a
    unit that does not convert.
    """
    match = _QUANTITY.fullmatch(text)
    if not match:
        return None
    number, written = Fraction(match["number"].replace("_", "")), match["unit"] or ""
    if written in ("", unit):
        return number
    wanted = unit or ""
    for dimension in DIMENSIONS:
        if wanted in dimension and written in dimension:
            return number * dimension[written] / dimension[wanted]
    if not unit:
        return None
    near = nearest(written, [name for dimension in DIMENSIONS if wanted in dimension for name in dimension if name])
    raise UnfitValueError(f"takes a number in {unit}, found {text!r}", f"did you mean '{near}'?" if near else "")

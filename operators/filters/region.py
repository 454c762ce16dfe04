"""Region of interest: events of a rectangle, or all others."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from evpipe.errors import UsageError
from evpipe.operator import Param
from evpipe.packets import U16, Events
from operators.filters.filter import Columns, Filter

Pixels = Annotated[int, Param(unit="px", min=0)]
SomePixels = Annotated[int, Param(unit="px", min=1)]


class Region(Filter):
    """Keep events with `left` <= x < `left + width` and `top` <= y < `top + height`, or those outside of it.

    `cut`: the picture shrinks to the rectangle, whose corner becomes (0, 0); only for what is inside.

    Raises UsageError, at the first packet, for a rectangle that does not lie in the sensor.
    """

    stateless = True

    def __init__(
        self,
        width: SomePixels,
        height: SomePixels,
        left: Pixels = 0,
        top: Pixels = 0,
        keep: Literal["inside", "outside"] = "inside",
        cut: bool = False,
    ) -> None:
        faults = self.check_parameters(width, height, left, top, keep, cut)
        if faults:
            raise UsageError(f"Region: {'; '.join(faults)}")
        self._left, self._top, self._right, self._bottom = left, top, left + width, top + height
        self._wanted, self._cut = keep == "inside", cut
        super().__init__()

    @staticmethod
    def check_parameters(width: int, height: int, left: int, top: int, keep: str, cut: bool) -> list[str]:
        """What is wrong with these values together."""
        faults = [
            f"{name} is {n} px; it must be at least 1" for name, n in (("width", width), ("height", height)) if n < 1
        ]
        faults += [f"{name} is {n} px; it must be at least 0" for name, n in (("left", left), ("top", top)) if n < 0]
        if cut and keep == "outside":
            faults.append("cut is for the events inside; with keep: outside the picture stays as it is")
        return faults

    def open(self) -> None:
        """Load the kernels ahead of the first packet."""
        import operators.kernels.filters_choose
        import operators.kernels.filters_region  # noqa: F401

    def on_events(self, events: Events) -> Events:
        """The events that pass, of the same span."""
        passed = super().on_events(events)
        if not self._cut:
            return passed
        x: U16 = (passed.x - self._left).astype("uint16")
        y: U16 = (passed.y - self._top).astype("uint16")
        size = {"width": self._right - self._left, "height": self._bottom - self._top}
        return msgspec.structs.replace(passed, x=x, y=y, **size)

    def _begin(self, sensor: tuple[int, int]) -> None:
        if self._bottom > sensor[0] or self._right > sensor[1]:
            raise UsageError(
                f"Region: columns {self._left} to {self._right - 1} and rows {self._top} to {self._bottom - 1} do not "
                f"lie in the sensor of {sensor[1]} x {sensor[0]} px (width x height)"
            )

    def _judge(self, found: Columns, keep: object) -> int:
        from operators.kernels.filters_region import inside

        bounds = (self._left, self._top, self._right, self._bottom)
        return int(inside(found.x, found.y, *bounds, self._wanted, *self._sensor, keep))

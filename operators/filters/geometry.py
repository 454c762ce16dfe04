"""Events at other pixels: turned over the diagonal, mirrored, rescaled, undistorted."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Literal

import msgspec
import numpy as np

from evpipe.errors import UsageError
from evpipe.operator import Param
from evpipe.packets import I32, Events
from operators.filters.filter import Follower, columns

Length = Annotated[float, Param(unit="px")]


class _ByTables(Follower):
    """Moves events by one table for columns and one for rows."""

    stateless = True
    swap = False

    def open(self) -> None:
        """Load the kernel ahead of the first packet."""
        import operators.kernels.filters_geometry  # noqa: F401

    def on_events(self, events: Events) -> Events:
        """The events at their new places; those outside the sensor are left out."""
        from operators.kernels.filters_geometry import move

        self._follow(events)
        t, x, y, p, outside = move(*columns(events), self._columns, self._rows, self.swap)
        height, width = self._size
        return self._count(
            events, msgspec.structs.replace(events, t=t, x=x, y=y, p=p, width=width, height=height), outside
        )

    def _begin(self, sensor: tuple[int, int]) -> None:
        self._size = sensor[::-1] if self.swap else sensor
        self._columns, self._rows = self._tables(sensor)

    @abstractmethod
    def _tables(self, sensor: tuple[int, int]) -> tuple[I32, I32]:
        """New column of each column, new row of each row, for a sensor (height, width)."""


class Transpose(_ByTables):
    """Exchange x and y; the sensor's width and height with them."""

    swap = True

    def _tables(self, sensor: tuple[int, int]) -> tuple[I32, I32]:
        return np.arange(sensor[1], dtype=np.int32), np.arange(sensor[0], dtype=np.int32)


class Flip(_ByTables):
    """Mirror the picture: left and right exchanged (x), top and bottom (y), or both, which turns it by 180 degrees."""

    def __init__(self, axis: Literal["x", "y", "both"] = "x") -> None:
        self._axis = axis
        super().__init__()

    def _tables(self, sensor: tuple[int, int]) -> tuple[I32, I32]:
        x, y = np.arange(sensor[1], dtype=np.int32), np.arange(sensor[0], dtype=np.int32)
        return (x if self._axis == "y" else x[::-1].copy()), (y if self._axis == "x" else y[::-1].copy())


class Rescale(_ByTables):
    """Stretch or shrink to `size` [height, width] px: x becomes x * new width // width, y likewise; no event is lost.

    A larger picture has empty rows and columns; in a smaller one several pixels are one, which then fires more often.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        faults = self.check_parameters(size)
        if faults:
            raise UsageError(f"Rescale: {'; '.join(faults)}")
        self._to = size
        super().__init__()

    @staticmethod
    def check_parameters(size: tuple[int, int]) -> list[str]:
        """What is wrong with these values."""
        if min(size) < 1 or max(size) > 65_536:
            return [f"size is {list(size)}; height and width must be 1 to 65536 px"]
        return []

    def _tables(self, sensor: tuple[int, int]) -> tuple[I32, I32]:
        self._size = self._to
        rows, cols = (np.arange(n, dtype=np.int64) * new // n for n, new in zip(sensor, self._to, strict=True))
        return cols.astype(np.int32), rows.astype(np.int32)


class Undistort(Follower):
    """Move events to where a lens without distortion would show them, in a picture of the same size and focal length.

    `fx fy cx cy` px: the camera's matrix. `distortion`: 4, 5 or 8 coefficients in OpenCV's order (k1 k2 p1 p2 k3 ...),
    or the 4 of its fisheye model with `fisheye`. Places are rounded to whole pixels, halves up; what falls outside the
    picture is dropped.
    """

    stateless = True

    def __init__(
        self,
        fx: Length,
        fy: Length,
        cx: Length,
        cy: Length,
        distortion: tuple[float, ...],
        fisheye: bool = False,
    ) -> None:
        faults = self.check_parameters(fx, fy, distortion, fisheye)
        if faults:
            raise UsageError(f"Undistort: {'; '.join(faults)}")
        self._matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float64)
        self._distortion, self._fisheye = np.array(distortion, np.float64), fisheye
        self._table_of = (0, 0)  # the sensor (height, width) that the table is for
        super().__init__()

    @staticmethod
    def check_parameters(fx: float, fy: float, distortion: tuple[float, ...], fisheye: bool, **_: object) -> list[str]:
        """What is wrong with these values together."""
        faults = [f"{name} is {f:g} px; a focal length is above 0" for name, f in (("fx", fx), ("fy", fy)) if not f > 0]
        if len(distortion) not in ((4,) if fisheye else (4, 5, 8)):
            takes = "the fisheye model takes 4" if fisheye else "it takes 4, 5 or 8"
            faults.append(f"distortion has {len(distortion)} coefficients; {takes}")
        return faults

    def open(self) -> None:
        """Load what is needed ahead of the first packet."""
        import cv2  # noqa: F401

        import operators.kernels.filters_geometry  # noqa: F401

    def on_events(self, events: Events) -> Events:
        """The events at their new places."""
        from operators.kernels.filters_geometry import move_pixels

        self._follow(events)
        t, x, y, p, outside = move_pixels(*columns(events), self._table, *self._sensor)
        return self._count(events, msgspec.structs.replace(events, t=t, x=x, y=y, p=p), outside)

    def _begin(self, sensor: tuple[int, int]) -> None:
        import cv2

        if sensor == self._table_of:
            return
        self._table_of = height, width = sensor
        pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).reshape(-1, 1, 2).astype(np.float64)
        undistort = cv2.fisheye.undistortPoints if self._fisheye else cv2.undistortPoints
        found = np.asarray(undistort(pixels, self._matrix, self._distortion, P=self._matrix), np.float64).reshape(-1, 2)
        near = np.floor(found + 0.5)  # nan where there is no such place, which is inside nothing
        inside = (near[:, 0] >= 0) & (near[:, 0] < width) & (near[:, 1] >= 0) & (near[:, 1] < height)
        self._table = np.where(inside, near[:, 1] * width + near[:, 0], -1.0).astype(np.int32)

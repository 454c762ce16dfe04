"""Metavision's simple algorithms on events: regions, polarities, mirrors. Each leaves its input as it is.

`process_events(events, buffer)` writes to an EventCDBuffer; `process_events_` works in place, on a buffer or, where the
number of events stays, on an array.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evpipe.packets import Bool
from sensors.metavision.sdk_base import EventCDBuffer, Records, copied, of_words, records, words


class _Algorithm:
    """An algorithm on EventCD arrays or buffers; a subclass says what becomes of the events."""

    keeps_number = False

    @staticmethod
    def get_empty_output_buffer() -> EventCDBuffer:
        """A buffer to give to `process_events`."""
        return EventCDBuffer()

    def process_events(self, events: Any, output: EventCDBuffer) -> None:
        """Put the result into `output`. Raises ValueError when that is the input itself."""
        if events is output:
            raise ValueError("Error: attempting to call process_events() in place. Consider process_events_() instead")
        output.hold(self._result(records(events)))

    def process_events_(self, events: Any) -> None:
        """Change a buffer, or an array if the number of events stays. Raises TypeError for another array."""
        found = records(events)
        if isinstance(events, EventCDBuffer):
            events.hold(self._result(found))
        elif self.keeps_number:
            found[:] = self._result(found)
        else:
            raise TypeError(f"{type(self).__name__} drops events: in place it takes an EventCDBuffer, not an array")

    def _result(self, events: Records) -> Records:
        raise NotImplementedError


class _Filter(_Algorithm):
    """An algorithm that keeps some events."""

    def _result(self, events: Records) -> Records:
        return of_words(words(events)[self._kept(events)])

    def _kept(self, events: Records) -> Bool:
        raise NotImplementedError


class RoiFilterAlgorithm(_Filter):
    """Keeps x0 <= x <= x1 and y0 <= y <= y1 (px); relative coordinates begin at x0, y0."""

    def __init__(self, x0: int, y0: int, x1: int, y1: int, output_relative_coordinates: bool = False) -> None:
        self.x0, self.y0, self.x1, self.y1 = int(x0), int(y0), int(x1), int(y1)
        self._relative = output_relative_coordinates

    def is_resetting(self) -> bool:
        """Whether coordinates are made relative."""
        return self._relative

    def _kept(self, events: Records) -> Bool:
        x, y = events["x"], events["y"]
        kept: Bool = (x >= self.x0) & (x <= self.x1) & (y >= self.y0) & (y <= self.y1)
        return kept

    def _result(self, events: Records) -> Records:
        kept = super()._result(events)
        if self._relative:
            kept["x"] -= max(self.x0, 0)
            kept["y"] -= max(self.y0, 0)
        return kept


class RoiMaskAlgorithm(_Filter):
    """Keeps events where `pixel_mask` (float64 [H, W]) is above 0; drops those outside of it."""

    def __init__(self, pixel_mask: NDArray[np.float64]) -> None:
        self._mask = np.asarray(pixel_mask) > 0

    def enable_rectangle(self, x0: int, y0: int, x1: int, y1: int) -> None:
        """Let a rectangle pass as well; both corners belong to it."""
        self._mask[max(y0, 0) : y1 + 1, max(x0, 0) : x1 + 1] = True

    def _kept(self, events: Records) -> Bool:
        x, y = events["x"], events["y"]
        kept: Bool = (x < self._mask.shape[1]) & (y < self._mask.shape[0])
        kept[kept] = self._mask[y[kept], x[kept]]
        return kept


class PolarityFilterAlgorithm(_Filter):
    """Keeps events of one polarity."""

    def __init__(self, polarity: int = 0) -> None:
        self.polarity = polarity

    def _kept(self, events: Records) -> Bool:
        kept: Bool = events["p"] == self.polarity
        return kept


class PolarityInverterAlgorithm(_Algorithm):
    """Exchanges brighter and darker."""

    keeps_number = True

    def _result(self, events: Records) -> Records:
        out = copied(events)
        out["p"] = 1 - events["p"]
        return out


class FlipXAlgorithm(_Algorithm):
    """Mirrors left and right."""

    keeps_number = True

    def __init__(self, width_minus_one: int) -> None:
        self.width_minus_one = int(width_minus_one)

    def _result(self, events: Records) -> Records:
        out = copied(events)
        out["x"] = self.width_minus_one - events["x"].astype(np.int32)
        return out


class FlipYAlgorithm(_Algorithm):
    """Mirrors top and bottom."""

    keeps_number = True

    def __init__(self, height_minus_one: int) -> None:
        self.height_minus_one = int(height_minus_one)

    def _result(self, events: Records) -> Records:
        out = copied(events)
        out["y"] = self.height_minus_one - events["y"].astype(np.int32)
        return out


class TransposeEventsAlgorithm(_Algorithm):
    """Exchanges x and y."""

    keeps_number = True

    def _result(self, events: Records) -> Records:
        out = copied(events)
        out["x"], out["y"] = events["y"], events["x"]
        return out

"""Pictures of events: periodic, on demand, or of one array; colours and rules of time are Metavision's.

A pixel shows the polarity of its last event within the accumulation time, or the background.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np

from evpipe.packets import U8
from sensors.metavision.sdk_base import Records, copied, records, words

_NEVER = np.iinfo(np.int64).min


class ColorPalette(Enum):
    """RGB of background, ON and OFF events. Pictures hold them as BGR; Gray has one channel."""

    Dark = ((30, 37, 52), (255, 255, 255), (64, 126, 200))
    Light = ((255, 255, 255), (64, 126, 200), (30, 37, 52))
    CoolWarm = ((217, 224, 237), (255, 113, 117), (87, 123, 198))
    Gray = ((128,), (255,), (0,))


Callback = Callable[[int, U8], Any]


class BaseFrameGenerationAlgorithm:
    """What pictures have in common: the sensor's size (width first), colours, each pixel's last event.

    Events outside the sensor are left out and counted in `n_outside`.
    """

    def __init__(self, width: int, height: int, palette: ColorPalette = ColorPalette.Dark) -> None:
        self._shape = int(height), int(width)
        self.n_outside = 0
        self.set_color_palette(palette)
        self._forget()

    def set_color_palette(self, palette: ColorPalette) -> None:
        """Use a palette from now on."""
        background, on, off = (colour[::-1] for colour in palette.value)
        self.set_colors(background, on, off, len(background) == 3)

    def set_colors(
        self, background: tuple[int, ...], on: tuple[int, ...], off: tuple[int, ...], colored: bool = True
    ) -> None:
        """Use colours (B, G, R), or one number each with `colored=False`. Raises ValueError for another length."""
        channels = 3 if colored else 1
        for colour in (background, on, off):
            if len(colour) < channels:
                raise ValueError(f"a colour needs {channels} numbers from 0 to 255, not {colour}")
        self._colours = np.array([colour[:channels] for colour in (off, on, background)], np.uint8)

    def get_dimension(self) -> tuple[int, int, int]:
        """(height, width, channels) of a picture."""
        return (*self._shape, self._colours.shape[1])

    @staticmethod
    def bg_color_default() -> tuple[int, ...]:
        """Background of the palette Dark as (B, G, R)."""
        return ColorPalette.Dark.value[0][::-1]

    @staticmethod
    def on_color_default() -> tuple[int, ...]:
        """Colour of ON events of the palette Dark as (B, G, R)."""
        return ColorPalette.Dark.value[1][::-1]

    @staticmethod
    def off_color_default() -> tuple[int, ...]:
        """Colour of OFF events of the palette Dark as (B, G, R)."""
        return ColorPalette.Dark.value[2][::-1]

    @staticmethod
    def generate_frame(
        events: Any, frame: U8, accumulation_time_us: int = 0, palette: ColorPalette = ColorPalette.Dark
    ) -> None:
        """Fill uint8 `frame` with the events of the last `accumulation_time_us` before the last one; 0: with all."""
        picture = BaseFrameGenerationAlgorithm(frame.shape[1], frame.shape[0], palette)
        found = records(events)
        picture._remember(found)
        begin = int(found["t"][-1]) - accumulation_time_us if accumulation_time_us and len(found) else _NEVER + 1
        picture._fill(frame, begin)

    def _forget(self) -> None:
        self._last_t = np.full(self._shape, _NEVER, np.int64)
        self._last_p = np.zeros(self._shape, np.uint8)

    def _remember(self, events: Records) -> None:
        from sensors.kernels import event_records

        if len(events):
            self.n_outside += event_records.remember(words(events), self._last_t, self._last_p)

    def _fill(self, frame: U8, from_us: int) -> None:
        """Paint pixels whose last event is of `from_us` or later. Raises ValueError for a frame that does not fit."""
        from sensors.kernels import event_records

        if frame.dtype != np.uint8:
            raise ValueError(f"Incompatible input dtype. Must be np.ubyte. It is {frame.dtype}")
        if frame.shape[:2] != self._shape:
            raise ValueError(f"Incompatible matrix size. Must be {self._shape}. It is {frame.shape[:2]}")
        channels = self._colours.shape[1]
        if frame.ndim != (2 if channels == 1 else 3) or (channels == 3 and frame.shape[2] != 3):
            raise ValueError(f"Incompatible matrix size. Must have {channels} channels. Its shape is {frame.shape}")
        event_records.paint(self._last_t, self._last_p, from_us, self._colours, frame.reshape(*self._shape, channels))


class PeriodicFrameGenerationAlgorithm(BaseFrameGenerationAlgorithm):
    """Calls back with a picture at each multiple of the period that events pass, in the thread that hands them in.

    A picture stamped `ts` shows the events of [ts - accumulation, ts). `fps` 0: the period is the accumulation time.
    The first period is the one of the first event.
    """

    def __init__(
        self,
        sensor_width: int,
        sensor_height: int,
        accumulation_time_us: int = 10_000,
        fps: float = 0.0,
        palette: ColorPalette = ColorPalette.Dark,
    ) -> None:
        super().__init__(sensor_width, sensor_height, palette)
        self.set_accumulation_time_us(accumulation_time_us)
        self.set_fps(fps)
        self._callback: Callback | None = None
        self._next_us: int | None = None
        self._newest_us = 0

    def set_output_callback(self, callback: Callback) -> None:
        """`callback(ts, frame)`; each frame is an array of its own."""
        self._callback = callback

    def set_fps(self, fps: float) -> None:
        """Pictures per second of sensor time. Raises ValueError when negative."""
        if fps < 0:
            raise ValueError(f"Frame rate must be positive. It is {fps}")
        self._fps = float(fps)

    def get_fps(self) -> float:
        """Pictures per second of sensor time."""
        return 1e6 / self._period_us()

    def set_accumulation_time_us(self, accumulation_time_us: int) -> None:
        """The span of a picture in us. Raises ValueError when it is not positive."""
        if accumulation_time_us <= 0:
            raise ValueError(f"Accumulation time must be strictly positive. It is {accumulation_time_us}")
        self._accumulation_us = int(accumulation_time_us)

    def get_accumulation_time_us(self) -> int:
        """The span of a picture in us."""
        return self._accumulation_us

    def process_events(self, events: Any) -> None:
        """Take an EventCD array or buffer; call back for each boundary that its events pass."""
        found = records(events)
        if not len(found):
            return
        t = found["t"]
        if self._next_us is None:
            self._next_us = self._after(int(t[0]))
        at = 0
        while at < len(t):
            passed = t[at:] >= self._next_us
            n = int(np.argmax(passed)) if passed[-1] or passed.any() else len(passed)
            self._remember(found[at : at + n])
            at += n
            if at < len(t):
                self._give(self._next_us)
                self._next_us += self._period_us()
        self._newest_us = int(t[-1])

    def force_generate(self) -> None:
        """Call back now with a picture stamped with the last event's time."""
        self._give(self._newest_us)

    def skip_frames_up_to(self, ts: int) -> None:
        """Give no picture stamped before `ts`."""
        self._next_us = max(self._next_us or 0, self._after(ts - 1))

    def reset(self) -> None:
        """Forget all events and the grid."""
        self._forget()
        self._next_us = None

    def _period_us(self) -> int:
        return max(round(1e6 / self._fps), 1) if self._fps else self._accumulation_us

    def _after(self, t: int) -> int:
        """The first boundary behind a time."""
        return (t // self._period_us() + 1) * self._period_us()

    def _give(self, ts: int) -> None:
        if self._callback is None:
            return
        height, width, channels = self.get_dimension()
        frame = np.empty((height, width) if channels == 1 else (height, width, 3), np.uint8)
        self._fill(frame, ts - self._accumulation_us)
        self._callback(ts, frame)


class OnDemandFrameGenerationAlgorithm(BaseFrameGenerationAlgorithm):
    """Keeps events until a picture is asked for: that of `ts` shows the events of (ts - accumulation, ts].

    Accumulation 0: all events since the last picture.
    """

    def __init__(
        self,
        width: int,
        height: int,
        accumulation_time_us: int = 10_000,
        palette: ColorPalette = ColorPalette.Dark,
    ) -> None:
        super().__init__(width, height, palette)
        self._accumulation_us = int(accumulation_time_us)
        self._waiting: list[Records] = []
        self._last_ts = _NEVER

    def set_accumulation_time_us(self, accumulation_time_us: int) -> None:
        """The span of a picture in us. Raises ValueError when it is not positive."""
        if accumulation_time_us <= 0:
            raise ValueError(f"Accumulation time must be strictly positive. It is {accumulation_time_us}")
        self._accumulation_us = int(accumulation_time_us)

    def get_accumulation_time_us(self) -> int:
        """The span of a picture in us."""
        return self._accumulation_us

    def process_events(self, events: Any) -> None:
        """Keep a copy of an EventCD array or of a buffer's content."""
        if len(found := records(events)):
            self._waiting.append(copied(found))

    def generate(self, ts: int, frame: U8) -> None:
        """Fill uint8 `frame` [H, W, 3] ([H, W] for one channel).

        Raises ValueError for a frame that does not fit, and for a `ts` before the last one's.
        """
        if ts < self._last_ts:
            raise ValueError(
                "Call the method reset() before generating frames in the past. Last frame was generated at "
                f"{self._last_ts} and current frame generation is at {ts}."
            )
        later = []
        for events in self._waiting:
            due = events["t"] <= ts
            self._remember(events if due.all() else events[due])
            if not due.all():
                later.append(events[~due])
        self._waiting = later
        begin = ts - self._accumulation_us if self._accumulation_us else self._last_ts
        self._fill(frame, begin + 1)
        self._last_ts = ts

    def reset(self) -> None:
        """Forget all events and the last picture."""
        self._forget()
        self._waiting, self._last_ts = [], _NEVER

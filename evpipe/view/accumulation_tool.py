"""The control of how much one picture of events holds: a slider, and a value that can be typed."""

from __future__ import annotations

import re

import msgspec
from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QSlider, QWidget

from evpipe.view import theme
from evpipe.view.surface import Accumulation
from evpipe.view.words import span_us

TIMES_US = tuple(1000 * ms for ms in (1, 2, 3, 5, 7, 10, 15, 20, 25, 33, 50, 66, 100, 150, 200, 300, 400, 500))
COUNTS = (500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)


def stepped(now: Accumulation, by: int) -> Accumulation:
    """The next larger (by > 0) or smaller accumulation of the mode in use; the ends stay."""
    if now.mode == "time":
        return msgspec.structs.replace(now, us=_step(TIMES_US, now.us, by))
    return msgspec.structs.replace(now, count=_step(COUNTS, now.count, by))


def written(accumulation: Accumulation) -> str:
    """`33 ms` or `20 000 ev`."""
    if accumulation.mode == "time":
        return span_us(accumulation.us)
    return f"{accumulation.count:,} ev".replace(",", " ")


def read(text: str, now: Accumulation) -> Accumulation | None:
    """What a person typed: `20`, `20 ms`, `500 us`, `0.1 s` are times, `5 000 ev`, `5k ev` counts; None: unreadable.

    A bare number has the unit in use. Values are held within 1 to 500 ms, and 1 to 1,000,000 events.
    """
    match = re.fullmatch(r"([\d.]+)(us|µs|ms|s|ev|kev|mev|k|m)?", re.sub(r"[\s,]", "", text.lower()))
    if match is None or match[1].count(".") > 1 or match[1] == ".":
        return None
    unit = match[2] or ("ms" if now.mode == "time" else "ev")
    value = float(match[1])
    times = {"us": 1, "µs": 1, "ms": 1000, "s": 1_000_000}
    if unit in times:
        us = round(min(max(value * times[unit], TIMES_US[0]), TIMES_US[-1]))
        return msgspec.structs.replace(now, mode="time", us=us)
    count = value * {"ev": 1, "k": 1000, "kev": 1000, "m": 1_000_000, "mev": 1_000_000}[unit]
    return msgspec.structs.replace(now, mode="count", count=round(min(max(count, 1), COUNTS[-1])))


class AccumulationTool(QWidget):
    """Emits `changed` with a new Accumulation when a person moves the slider or types a value."""

    changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._now = Accumulation()
        self._slider = QSlider(Qt.Orientation.Horizontal)
        self._slider.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._slider.setFixedWidth(130)
        self._slider.setToolTip("Accumulation: events of this much sensor time are one picture (↑ ↓)")
        self._slider.valueChanged.connect(self._slid)
        self._value = QLineEdit()
        self._value.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self._value.setFixedSize(92, 24)
        self._value.setFont(theme.font(12))
        self._value.setAlignment(Qt.AlignmentFlag.AlignRight)
        self._value.setToolTip("Type a time (20 ms) or a number of events (5000 ev)")
        self._value.returnPressed.connect(self._typed)
        self._value.editingFinished.connect(lambda: self._value.setText(written(self._now)))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 4, 0)
        layout.setSpacing(theme.GAP)
        label = QLabel("accumulate")
        label.setFont(theme.font(12))
        layout.addWidget(label)
        layout.addWidget(self._slider)
        layout.addWidget(self._value)

    def show_accumulation(self, now: Accumulation) -> None:
        """Follow a change made elsewhere, without a signal."""
        self._now = now
        with QSignalBlocker(self._slider):
            steps, value = self._steps()
            self._slider.setRange(0, len(steps) - 1)
            self._slider.setValue(min(range(len(steps)), key=lambda i: abs(steps[i] - value)))
        if not self._value.hasFocus():
            self._value.setText(written(now))

    def _steps(self) -> tuple[tuple[int, ...], int]:
        return (TIMES_US, self._now.us) if self._now.mode == "time" else (COUNTS, self._now.count)

    def _slid(self, index: int) -> None:
        if self._now.mode == "time":
            self.changed.emit(msgspec.structs.replace(self._now, us=TIMES_US[index]))
        else:
            self.changed.emit(msgspec.structs.replace(self._now, count=COUNTS[index]))

    def _typed(self) -> None:
        new = read(self._value.text(), self._now)
        self._value.clearFocus()
        if new is not None:
            self.changed.emit(new)


def _step(steps: tuple[int, ...], now: int, by: int) -> int:
    if by > 0:
        return next((step for step in steps if step > now), steps[-1])
    return next((step for step in reversed(steps) if step < now), steps[0])

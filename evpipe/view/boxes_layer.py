"""Detected boxes over a picture: coloured by track, fading as they get old, readable on dark and on light."""

from __future__ import annotations

import colorsys
from collections import deque
from functools import lru_cache

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPen

from evpipe.packets import Boxes
from evpipe.view import theme

_USUAL_US = 50_000  # between two answers, until two have come
_PERIODS = 3  # that a box is shown for, without a newer answer
_REMEMBERED = 8
_ROOMY = 1.5  # screen pixels a sensor pixel from which on tags say all
_TAG_PX = 17.0
_ALL_TAGGED = 12  # boxes that have a tag whatever it covers


class BoxesLayer:
    """The newest boxes and their age, painted by every view that shows the sensor's pixels.

    An answer stands at full strength until the next is due, then weaker by a third with each that is overdue, and is
    gone with the third. How often answers come is learnt from their times.
    """

    def __init__(self) -> None:
        self.boxes: Boxes | None = None
        self.age_us = 0
        self.sensor = (0, 0)  # height and width in px; (0, 0) while unknown
        self._steps: deque[int] = deque(maxlen=_REMEMBERED)
        self._last_us: int | None = None

    def show(self, boxes: Boxes | None, age_us: int) -> bool:
        """Show these boxes, `age_us` of sensor time old; whether that changes what is painted."""
        before = (self.boxes, self.overdue)
        if boxes is not None and boxes is not self.boxes:
            if self._last_us is not None and boxes.t1_us > self._last_us:
                self._steps.append(boxes.t1_us - self._last_us)
            elif self._last_us is not None and boxes.t1_us < self._last_us:
                self._steps.clear()
            self._last_us = boxes.t1_us
        self.boxes, self.age_us = boxes, age_us
        return boxes is not before[0] or self.overdue != before[1]

    @property
    def period_us(self) -> int:
        """Sensor time from one answer to the next: the least of the last few, since a display may miss some."""
        return min(self._steps, default=_USUAL_US)

    @property
    def overdue(self) -> int:
        """How many answers should have come since the one shown."""
        return max(0, self.age_us) // self.period_us

    @property
    def opacity(self) -> float:
        """1 - age / greatest age, the age in whole periods; 0 for what is no longer shown."""
        return max(0.0, 1.0 - self.overdue / _PERIODS)

    def told(self) -> str:
        """How many boxes there are and how old the answer is; nothing without one."""
        if self.boxes is None or not self.opacity:
            return ""
        n = len(self.boxes.x)
        words = "no boxes" if n == 0 else "1 box" if n == 1 else f"{n} boxes"
        return f"{words}  ·  {round(self.age_us, -4) // 1000} ms old"

    def paint(self, painter: QPainter, target: QRectF, scale: float, picture: tuple[int, int]) -> None:
        """Paint over a picture (height, width) that lies in `target`, unless its size is not the sensor's."""
        boxes = self.boxes
        if boxes is None or not self.opacity or self.sensor not in (picture, (0, 0)):
            return
        painter.save()
        painter.setClipRect(target)
        painter.setOpacity(self.opacity)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(theme.font(11, QFont.Weight.DemiBold))
        frames = [
            QRectF(*(float(value) * scale for value in row)).translated(target.topLeft())
            for row in zip(boxes.x, boxes.y, boxes.w, boxes.h, strict=True)
        ]
        for i, frame in enumerate(frames):
            self._frame(painter, frame, _colour(int(boxes.track[i]), int(boxes.label[i])), scale)
        taken: list[QRectF] = []
        for i in sorted(range(len(frames)), key=lambda i: -float(boxes.score[i])):
            tag = self._tag(painter, frames[i], i, boxes, scale, target, taken)
            if tag is not None:
                taken.append(tag)
        painter.restore()

    def _frame(self, painter: QPainter, frame: QRectF, colour: QColor, scale: float) -> None:
        width = 2.0 if scale >= _ROOMY else 1.5
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(theme.with_alpha(theme.WINDOW, 0.6), width + 2))  # so that it stands out on light, too
        painter.drawRoundedRect(frame, 2, 2)
        painter.setPen(QPen(colour, width))
        painter.drawRoundedRect(frame, 2, 2)

    def _tag(
        self,
        painter: QPainter,
        frame: QRectF,
        i: int,
        boxes: Boxes,
        scale: float,
        target: QRectF,
        taken: list[QRectF],
    ) -> QRectF | None:
        """A box's tag above it, or below or inside where there is no room; better boxes' tags have the choice first.

        Among many boxes, one without a free place goes without a tag.
        """
        label, track = int(boxes.label[i]), int(boxes.track[i])
        text = boxes.labels[label] if 0 <= label < len(boxes.labels) else str(label)
        if scale >= _ROOMY:
            text += f" {float(boxes.score[i]):.2f}" + (f"  #{track}" if track > 0 else "")
        elif track > 0:
            text = f"#{track}"
        width = painter.fontMetrics().horizontalAdvance(text) + 10
        left = min(max(frame.left() - 1, target.left()), max(target.left(), target.right() - width))
        heights = (frame.top() - _TAG_PX, frame.bottom(), frame.top())
        places = [QRectF(left, top, width, _TAG_PX) for top in heights]
        seen = [place for place in places if target.contains(place)] or [places[2]]
        free = (place for place in seen if not any(place.intersects(other) for other in taken))
        tag = next(free, None) or (seen[0] if len(taken) < _ALL_TAGGED else None)
        if tag is None:
            return None
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_colour(track, label))
        painter.drawRoundedRect(tag, 3, 3)
        painter.setPen(theme.WINDOW)
        painter.drawText(tag, Qt.AlignmentFlag.AlignCenter, text)
        return tag


@lru_cache(maxsize=512)
def _colour(track: int, label: int) -> QColor:
    """Of a track its own, far from those of the numbers near it; of a box without one its class's."""
    if track <= 0:
        return theme.SERIES[label % len(theme.SERIES)]
    hue = 0.09 + track * 0.6180339887
    r, g, b = colorsys.hls_to_rgb(hue % 1.0, 0.68, 0.85)
    return QColor.fromRgbF(r, g, b)

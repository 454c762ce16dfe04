"""Event rate over the last ten seconds of sensor time."""

# ruff: noqa: N802 - Qt names the methods that are overridden here
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QLinearGradient, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy

from evpipe.view import theme
from evpipe.view.painted import Painted
from evpipe.view.rate import BINS
from evpipe.view.words import rate

_AXIS = 18.0


class RatePlot(Painted):
    """A filled line, the newest at the right; the scale is a round figure over the largest rate seen in the span."""

    def __init__(self) -> None:
        super().__init__()
        self._course: NDArray[np.float64] = np.zeros(0)
        self.setMinimumSize(200, 70)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        """A low strip."""
        return QSize(320, 110)

    def show_course(self, course: NDArray[np.float64]) -> None:
        """Events per second in bins of 0.1 s, oldest first."""
        if not np.array_equal(course, self._course):
            self._course = course
            self.update()

    def paint(self, painter: QPainter) -> None:
        """Grid, line, axis."""
        plot = QRectF(4, 18, self.width() - 8, self.height() - 18 - _AXIS)
        top = _round_up(float(self._course.max(initial=0.0)) or 1000.0)
        painter.setFont(theme.font(11))
        for part in (0.0, 0.5, 1.0):
            y = plot.bottom() - part * plot.height()
            painter.setPen(QPen(theme.LINE, 1))
            painter.drawLine(QPointF(plot.left(), y), QPointF(plot.right(), y))
        n = len(self._course)
        if n > 1:
            step = plot.width() / (BINS - 2)
            xs = plot.right() - step * np.arange(n - 1, -1, -1)
            ys = plot.bottom() - np.clip(self._course / top, 0, 1) * plot.height()
            line = QPolygonF([QPointF(float(x), float(y)) for x, y in zip(xs, ys, strict=True)])
            area = QPolygonF(line)
            area.append(QPointF(plot.right(), plot.bottom()))
            area.append(QPointF(float(xs[0]), plot.bottom()))
            shade = QLinearGradient(0, plot.top(), 0, plot.bottom())
            shade.setColorAt(0, theme.with_alpha(theme.ACCENT, 0.35))
            shade.setColorAt(1, theme.with_alpha(theme.ACCENT, 0.02))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(shade)
            painter.drawPolygon(area)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(theme.ACCENT, 1.6))
            painter.drawPolyline(line)
        painter.setPen(theme.FAINT)
        painter.drawText(QRectF(plot.left(), plot.top() - 17, 120, 14), Qt.AlignmentFlag.AlignLeft, rate(top))
        axis = QRectF(plot.left(), plot.bottom() + 3, plot.width(), _AXIS - 3)
        painter.drawText(axis, Qt.AlignmentFlag.AlignLeft, "−10 s")
        painter.drawText(axis, Qt.AlignmentFlag.AlignHCenter, "−5 s")
        painter.drawText(axis, Qt.AlignmentFlag.AlignRight, "now")


def _round_up(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(f * power for f in (1.0, 2.0, 5.0, 10.0) if value <= f * power * 1.0001))

"""The bar above (application, state, time) and the strip below (rates, age, losses, display rate)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter

from evpipe.view import theme
from evpipe.view.painted import Painted

_MIDDLE = Qt.AlignmentFlag.AlignVCenter


class TopBar(Painted):
    """Application, state as a coloured pill, what is seen, and sensor time since the first packet."""

    def __init__(self, app: str) -> None:
        super().__init__()
        self._app = app or "evpipe"
        self._state: tuple[str, QColor] = ("WAITING", theme.SOFT)
        self._subject = ""
        self._time = ""
        self.setFixedHeight(40)

    @property
    def state(self) -> str:
        """The word in the pill."""
        return self._state[0]

    @property
    def subject(self) -> str:
        """The words beside the pill."""
        return self._subject

    def show_state(self, state: str, colour: QColor, subject: str, time: str) -> None:
        """Change what is written."""
        new = ((state, colour), subject, time)
        if new != (self._state, self._subject, self._time):
            self._state, self._subject, self._time = new
            self.update()

    def paint(self, painter: QPainter) -> None:
        """From left: application, pill, subject; at right: time and the key of the list of keys."""
        line = QRectF(6, 0, self.width() - 12, self.height())
        painter.setFont(theme.font(18, QFont.Weight.DemiBold))
        painter.setPen(theme.TEXT)
        painter.drawText(line, _MIDDLE, self._app)
        left = line.left() + painter.fontMetrics().horizontalAdvance(self._app) + 16
        state, colour = self._state
        painter.setFont(theme.font(12, QFont.Weight.Bold, 0.8))
        width = painter.fontMetrics().horizontalAdvance(state) + 38
        pill = QRectF(left, line.center().y() - 13, width, 26)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.with_alpha(colour, 0.16))
        painter.drawRoundedRect(pill, 13, 13)
        painter.setBrush(colour)
        painter.drawEllipse(QRectF(pill.left() + 12, pill.center().y() - 4, 8, 8))
        painter.setPen(colour)
        painter.drawText(pill.adjusted(27, 0, 0, 0), _MIDDLE, state)
        painter.setFont(theme.font(13))
        painter.setPen(theme.FAINT)
        painter.drawText(line.adjusted(pill.right() + 10, 0, -230, 0), _MIDDLE, self._subject)
        painter.drawText(line, _MIDDLE | Qt.AlignmentFlag.AlignRight, "F1  keys")
        painter.setFont(theme.font(18, QFont.Weight.Medium))
        painter.setPen(theme.TEXT)
        painter.drawText(line.adjusted(0, 0, -80, 0), _MIDDLE | Qt.AlignmentFlag.AlignRight, self._time)
        if self._time:
            time_px = painter.fontMetrics().horizontalAdvance(self._time)
            painter.setFont(theme.font(12))
            painter.setPen(theme.FAINT)
            right = line.adjusted(0, 0, -80 - time_px - 10, 0)
            painter.drawText(right, _MIDDLE | Qt.AlignmentFlag.AlignRight, "sensor time")


class Figure(msgspec.Struct, frozen=True):
    """A named figure of the strip; `alarm` colours it; `share` is its part of the width."""

    name: str
    value: str
    alarm: bool = False
    share: float = 1.0


class StatusStrip(Painted):
    """Named figures in columns of fixed places, so that nothing jumps when digits change."""

    def __init__(self) -> None:
        super().__init__()
        self.figures: tuple[Figure, ...] = ()
        self.setFixedHeight(46)

    def show_figures(self, figures: Sequence[Figure]) -> None:
        """Change the figures."""
        if tuple(figures) != self.figures:
            self.figures = tuple(figures)
            self.update()

    def paint(self, painter: QPainter) -> None:
        """Caption over value, a column each."""
        total = sum(figure.share for figure in self.figures) or 1.0
        left = 6.0
        for figure in self.figures:
            width = (self.width() - 12) * figure.share / total
            painter.setFont(theme.font(10, QFont.Weight.DemiBold, 0.8))
            painter.setPen(theme.FAINT)
            name = painter.fontMetrics().elidedText(figure.name.upper(), Qt.TextElideMode.ElideRight, int(width - 12))
            painter.drawText(QRectF(left, 4, width, 14), _MIDDLE, name)
            painter.setFont(theme.font(15, QFont.Weight.Medium))
            painter.setPen(theme.AMBER if figure.alarm else theme.TEXT)
            metrics = QFontMetricsF(painter.font())
            text = metrics.elidedText(figure.value, Qt.TextElideMode.ElideRight, width - 12)
            painter.drawText(QRectF(left, 20, width, 22), _MIDDLE, text)
            left += width

"""A widget that paints itself, safely: a painter left open by an error would end the process, not the painting."""

# ruff: noqa: N802 - Qt names the methods that are overridden here
from __future__ import annotations

from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget


class Painted(QWidget):
    """Derive from it and write `paint`."""

    def paint(self, painter: QPainter) -> None:
        """Paint the widget; called with an antialiasing painter."""
        raise NotImplementedError

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt's call."""
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            self.paint(painter)

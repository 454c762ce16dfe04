"""A line of news over the window that goes away by itself: a saved file, a failure to save."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, QTimer
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QWidget

from evpipe.view import theme
from evpipe.view.painted import Painted

_LASTS_MS = 4000


class Toast(Painted):
    """Shows the newest line for four seconds at the lower middle of its parent."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._over = parent
        self.text = ""
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.hide)
        self.hide()

    def say(self, text: str) -> None:
        """Show this line."""
        self.text = text
        self.place()
        self.raise_()
        self.show()
        self.update()
        self._timer.start(_LASTS_MS)

    def place(self) -> None:
        """Stand at the lower middle of the parent."""
        width = int(theme.chip_width(self.text, 14)) + 4
        self.setGeometry((self._over.width() - width) // 2, self._over.height() - 110, width, 36)

    def paint(self, painter: QPainter) -> None:
        """The line on a chip."""
        theme.chip(painter, self.text, QRectF(1, 1, 0, 0), theme.TEXT, px=14)

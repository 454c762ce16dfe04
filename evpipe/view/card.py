"""A card: a rounded surface with a title, a figure at its right, and one view inside."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QFont, QPainter, QPen
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from evpipe.view import theme
from evpipe.view.painted import Painted


class Card(Painted):
    """Frames one view. `note` is text at the right of the title; widgets of `tools` stand left of it."""

    def __init__(self, title: str, body: QWidget, *, margin: int = theme.GAP) -> None:
        super().__init__()
        self._title = title
        self._note = ""
        self.body = body
        layout = QVBoxLayout(self)
        layout.setContentsMargins(margin, 0, margin, margin)
        layout.setSpacing(0)
        self._header = QHBoxLayout()
        self._header.setContentsMargins(0, 0, 0, 0)
        self._header.setSpacing(theme.GAP)
        self._header.addStretch(1)
        head = QWidget()
        head.setFixedHeight(theme.HEADER)
        head.setLayout(self._header)
        layout.addWidget(head)
        layout.addWidget(body, 1)

    def add_tool(self, widget: QWidget) -> None:
        """Put a control at the right of the header."""
        self._header.addWidget(widget)

    def set_title(self, title: str) -> None:
        """Change the title."""
        if title != self._title:
            self._title = title
            self.update(0, 0, self.width(), theme.HEADER)

    def set_note(self, note: str) -> None:
        """Change the text at the right of the header: parts with "·" between; the last ones go for want of room."""
        if note != self._note:
            self._note = note
            self.update(0, 0, self.width(), theme.HEADER)

    def paint(self, painter: QPainter) -> None:
        """Surface, title and note."""
        painter.setPen(QPen(theme.LINE, 1))
        painter.setBrush(theme.CARD)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), theme.RADIUS, theme.RADIUS)
        header = QRectF(14, 0, self.width() - 28, theme.HEADER)
        painter.setFont(theme.caption())
        painter.setPen(theme.SOFT)
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.drawText(header, Qt.AlignmentFlag.AlignLeft | middle, self._title.upper())
        title_px = painter.fontMetrics().horizontalAdvance(self._title.upper())
        painter.setFont(theme.font(12, QFont.Weight.Normal))
        painter.setPen(theme.FAINT)
        tools_px = self._header.sizeHint().width()
        free = header.adjusted(title_px + 14, 0, -tools_px, 0)
        note = self._note
        while note and painter.fontMetrics().horizontalAdvance(note) > free.width():  # half a part says nothing
            note = note.rpartition("·")[0].rstrip()
        side = Qt.AlignmentFlag.AlignLeft if tools_px else Qt.AlignmentFlag.AlignRight
        painter.drawText(free, side | middle, note)

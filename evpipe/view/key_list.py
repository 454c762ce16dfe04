"""The keys of the window, as one table that the keyboard handler and the list on F1 share."""

# ruff: noqa: N802 - Qt names the methods that are overridden here
from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFont, QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import QWidget

from evpipe.view import theme
from evpipe.view.painted import Painted

_K = Qt.Key
# Keys, how they are written, what they do, the method of MainWindow that does it.
KEYS: tuple[tuple[tuple[Qt.Key, ...], str, str, str], ...] = (
    ((_K.Key_Space,), "space", "Pause and play; live: freeze the view", "toggle_play"),
    ((_K.Key_L,), "L", "Back to live", "go_live"),
    ((_K.Key_Period,), ".", "Recording: one step of 20 ms", "step_on"),
    ((_K.Key_Comma,), ",", "Recording: one step back", "step_back"),
    ((_K.Key_Right,), "→", "Recording: 0.1 s on (shift: 1 s)", "jump_on"),
    ((_K.Key_Left,), "←", "Recording: 0.1 s back (shift: 1 s)", "jump_back"),
    ((_K.Key_Home,), "home", "Recording: to its start", "go_to_start"),
    ((_K.Key_BracketRight,), "]", "Recording: faster", "play_faster"),
    ((_K.Key_BracketLeft,), "[", "Recording: slower", "play_slower"),
    ((_K.Key_I,), "I", "Recording: a range begins here", "mark_in"),
    ((_K.Key_O,), "O", "Recording: the range ends here and repeats", "mark_out"),
    ((_K.Key_R,), "R", "Recording: repeat, or play once", "toggle_loop"),
    ((_K.Key_Up,), "↑", "Accumulate more", "accumulate_more"),
    ((_K.Key_Down,), "↓", "Accumulate less", "accumulate_less"),
    ((_K.Key_A,), "A", "Accumulate a time or a number of events", "toggle_mode"),
    ((_K.Key_C,), "C", "Next palette", "next_palette"),
    ((_K.Key_0,), "0", "Fit the picture (wheel: zoom, drag: move)", "reset_view"),
    ((_K.Key_S,), "S", "Screenshot into this folder", "screenshot"),
    ((_K.Key_F,), "F", "Full screen", "toggle_fullscreen"),
    ((_K.Key_F1, _K.Key_Question), "F1  ?", "This list", "toggle_keys"),
    ((_K.Key_Q,), "Q", "End the run", "close"),
)
_ROW = 30.0
_COLUMN = 398.0


class KeyList(Painted):
    """A card over the dimmed window; a click or any of its keys closes it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.hide()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Close."""
        self.hide()

    def paint(self, painter: QPainter) -> None:
        """A row a key."""
        painter.fillRect(self.rect(), QColor(6, 8, 11, 190))
        rows = -(-len(KEYS) // 2)
        card = QRectF(0, 0, 2 * _COLUMN + 26, 74 + _ROW * rows)
        card.moveCenter(QRectF(self.rect()).center())
        painter.setPen(QPen(theme.LINE, 1))
        painter.setBrush(theme.CARD)
        painter.drawRoundedRect(card, 14, 14)
        painter.setFont(theme.font(17, QFont.Weight.DemiBold))
        painter.setPen(theme.TEXT)
        painter.drawText(QRectF(card.left() + 26, card.top() + 14, 300, 32), Qt.AlignmentFlag.AlignVCenter, "Keys")
        for i, (_, written, does, _) in enumerate(KEYS):
            left, top = card.left() + i // rows * _COLUMN, card.top() + 54 + i % rows * _ROW
            cap = QRectF(left + 26, top + 3, 64, _ROW - 7)
            painter.setPen(QPen(theme.LINE, 1))
            painter.setBrush(theme.TRACK)
            painter.drawRoundedRect(cap, 5, 5)
            painter.setFont(theme.font(12, QFont.Weight.DemiBold))
            painter.setPen(theme.TEXT)
            painter.drawText(cap, Qt.AlignmentFlag.AlignCenter, written)
            painter.setFont(theme.font(13))
            painter.setPen(theme.SOFT)
            text = QRectF(left + 104, top, _COLUMN - 104, _ROW)
            painter.drawText(text, Qt.AlignmentFlag.AlignVCenter, does)

"""The icon of the window: an edge that moves, bright where it comes and blue where it was."""

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap

from evpipe.view import theme
from evpipe.view.palettes import PALETTES


def icon() -> QIcon:
    """Painted at 128 px."""
    picture = QPixmap(128, 128)
    picture.fill(Qt.GlobalColor.transparent)
    colours = PALETTES["dark"]
    with QPainter(picture) as painter:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.CARD)
        painter.drawRoundedRect(QRectF(0, 0, 128, 128), 28, 28)
        for column, (colour, opacity) in enumerate(
            ((colours.off, 0.45), (colours.off, 0.75), (colours.off, 1.0), (colours.on, 1.0))
        ):
            painter.setBrush(theme.with_alpha(QColor(*colour), opacity))
            for row in range(4):
                if (row + column) % 5 != 4:
                    shift = 6 * (1.5 - abs(row - 1.5))
                    painter.drawRoundedRect(QRectF(14 + 24 * column + shift, 18 + 24 * row, 18, 18), 4, 4)
    return QIcon(picture)

"""Colours, type and spacing of the window itself, in one place."""

from __future__ import annotations

import sys
import time
from functools import cache

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QFontMetricsF, QPainter, QPen

WINDOW = QColor("#0b0e13")
CARD = QColor("#131820")
LINE = QColor("#212934")
TRACK = QColor("#1c232d")
TEXT = QColor("#e9edf3")
SOFT = QColor("#9aa6b6")
FAINT = QColor("#647083")
ACCENT = QColor("#5aa9ff")
GREEN = QColor("#3dd598")
AMBER = QColor("#f5b041")
RED = QColor("#ff6b6b")
VIOLET = QColor("#a393ff")

GAP = 10  # px between cards and within them
RADIUS = 10
HEADER = 38
_TURN_S = 1.6

# Of boxes and other things told apart by number: readable on dark and on light.
SERIES = tuple(QColor(c) for c in ("#ffb454", "#5ad4e6", "#c792ea", "#8bd649", "#ff7a93", "#6ea8fe"))

_FAMILIES = ("Inter", "Segoe UI", "Noto Sans", "Roboto", "Cantarell", "Ubuntu", "Open Sans", "Liberation Sans")


@cache
def _family() -> str:
    default = QFont().family()
    if not sys.platform.startswith("linux"):
        return default
    there = set(QFontDatabase.families())
    return next((family for family in _FAMILIES if family in there), default)


def font(px: int, weight: QFont.Weight = QFont.Weight.Normal, spacing: float = 0.0) -> QFont:
    """The window's typeface at a size in (scaled) pixels, digits of equal width."""
    made = QFont(_family())
    made.setPixelSize(px)
    made.setWeight(weight)
    made.setFeature(QFont.Tag("tnum"), 1)
    if spacing:
        made.setLetterSpacing(QFont.SpacingType.AbsoluteSpacing, spacing)
    return made


def caption() -> QFont:
    """Small letterspaced capitals above a figure or a card."""
    return font(11, QFont.Weight.DemiBold, 0.9)


def with_alpha(colour: QColor, alpha: float) -> QColor:
    """The colour at an opacity from 0 to 1."""
    made = QColor(colour)
    made.setAlphaF(alpha)
    return made


def chip(painter: QPainter, text: str, at: QRectF, colour: QColor, *, px: int = 12) -> QRectF:
    """A rounded label whose top left is that of `at`; returns where it lies."""
    painter.save()
    painter.setFont(font(px, QFont.Weight.Medium))
    metrics = QFontMetricsF(painter.font())
    box = QRectF(at.x(), at.y(), metrics.horizontalAdvance(text) + 20, metrics.height() + 9)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(with_alpha(colour, 0.35), 1))
    painter.setBrush(with_alpha(QColor("#10151c"), 0.88))
    painter.drawRoundedRect(box, 7, 7)
    painter.setPen(colour)
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)
    painter.restore()
    return box


def chip_width(text: str, px: int = 12) -> float:
    """The width that `chip` will take."""
    return QFontMetricsF(font(px, QFont.Weight.Medium)).horizontalAdvance(text) + 20


def waiting(painter: QPainter, place: QRectF, text: str) -> None:
    """What is waited for; in a large place under an arc that turns, so that a person sees that the window is alive."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    middle = place.center()
    large = place.height() > 280
    if large:
        ring = QRectF(middle.x() - 14, middle.y() - 48, 28, 28)
        painter.setPen(QPen(TRACK, 3))
        painter.drawEllipse(ring)
        painter.setPen(QPen(ACCENT, 3, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        painter.drawArc(ring, int(-time.monotonic() / _TURN_S * 360 * 16) % (360 * 16), 80 * 16)
    painter.setFont(font(15 if large else 13))
    painter.setPen(SOFT if large else FAINT)
    box = QRectF(place.left() + 10, middle.y() - 10, place.width() - 20, 40)
    painter.drawText(box, Qt.AlignmentFlag.AlignHCenter | Qt.TextFlag.TextWordWrap, text)
    painter.restore()


def style_sheet() -> str:
    """For the few stock widgets of the window: splitters, slider, typed value, tool tips."""
    return f"""
    QWidget#evpipe {{ background: {WINDOW.name()}; }}
    QLabel {{ color: {FAINT.name()}; }}
    QSplitter::handle {{ background: transparent; }}
    QSplitter::handle:hover {{ background: {LINE.name()}; border-radius: 2px; margin: 3px; }}
    QSlider::groove:horizontal {{ height: 4px; border-radius: 2px; background: {TRACK.name()}; }}
    QSlider::sub-page:horizontal {{ height: 4px; border-radius: 2px; background: {ACCENT.name()}; }}
    QSlider::handle:horizontal {{ width: 14px; height: 14px; margin: -5px 0; border-radius: 7px;
        background: {TEXT.name()}; }}
    QSlider::handle:horizontal:hover {{ background: #ffffff; }}
    QLineEdit {{ background: {TRACK.name()}; color: {TEXT.name()}; border: 1px solid {LINE.name()};
        border-radius: 6px; padding: 0 8px; selection-background-color: {ACCENT.name()}; }}
    QLineEdit:focus {{ border: 1px solid {ACCENT.name()}; }}
    QToolTip {{ background: {CARD.name()}; color: {TEXT.name()}; border: 1px solid {LINE.name()}; padding: 6px; }}
    """

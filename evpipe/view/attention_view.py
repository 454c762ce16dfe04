"""What the network saw: the steps of its window side by side, each with the attention it got below it."""

# ruff: noqa: N802 - Qt names the methods that are overridden here
from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen
from PySide6.QtWidgets import QSizePolicy

from evpipe.packets import F32, U8, Bool
from evpipe.view import theme
from evpipe.view.binned import SHADES
from evpipe.view.board import Steps
from evpipe.view.painted import Painted
from evpipe.view.palettes import PALETTES, Palette, colour_table

_LOWEST_BAR, _HIGHEST_BAR = 26.0, 72.0
_SPACE, _ROW_SPACE = 5.0, 12.0
_MOST_ROWS = 4


class AttentionView(Painted):
    """T small pictures, each over its bar, in one row or, in a narrow view, in some.

    Steps that did not enter the network are dimmed, their bar hollow.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waiting = ""
        self._steps: Steps | None = None
        self._attention: F32 | None = None
        self._kept: Bool | None = None
        self._palette: Palette = "dark"
        self._images: list[tuple[QImage, U8]] = []
        self._drawn: tuple[Steps | None, Palette] = (None, "dark")
        self.setMinimumSize(240, 92)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        """A low, wide strip."""
        return QSize(600, 120)

    def show_steps(self, steps: Steps | None, attention: F32 | None, kept: Bool | None, palette: Palette) -> None:
        """Paint these next. Attention and kept belong to the same window, float32 [T] and bool [T], or are None."""
        if steps is self._steps and attention is self._attention and palette == self._palette:
            return
        self._steps, self._attention, self._kept, self._palette = steps, attention, kept, palette
        self.update()

    def paint(self, painter: QPainter) -> None:
        """Pictures and bars on one grid."""
        if self._steps is None and self._attention is None:
            theme.waiting(painter, QRectF(self.rect()), self.waiting)
            return
        self._colour()
        n = len(self._images) or (0 if self._attention is None else len(self._attention))
        if n == 0:
            return
        bars = self._attention is not None and len(self._attention) == n
        rows = self._rows(n)
        columns = -(-n // rows)
        pitch = (self.width() - 8 + _SPACE) / columns
        side_w = max(1.0, pitch - _SPACE)
        row_h = (self.height() - (rows - 1) * _ROW_SPACE) / rows
        bar_h = min(max(row_h - side_w - 6, _LOWEST_BAR), _HIGHEST_BAR)
        room = row_h - (bar_h + 6 if bars else 0)
        for i in range(n):
            row, column = divmod(i, columns)
            left, above = 4 + column * pitch, row * (row_h + _ROW_SPACE)
            kept = self._kept is None or len(self._kept) != n or bool(self._kept[i])
            if self._images:
                image = self._images[i][0]
                scale = min(side_w / image.width(), room / image.height())
                width, height = image.width() * scale, image.height() * scale
                top = above + (room - height if bars else (room - height) / 2)
                box = QRectF(left + (side_w - width) / 2, top, width, height)
                painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, scale < 1)
                painter.setOpacity(1.0 if kept else 0.3)
                painter.drawImage(box, image)
                painter.setOpacity(1.0)
                painter.setPen(QPen(theme.LINE, 1))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRect(box)
            if bars:
                self._bar(painter, QRectF(left, above + room + 6, side_w, bar_h), i, kept)

    def _rows(self, n: int) -> int:
        """In how many rows the pictures over their bars get largest; of equals, the fewest."""
        ratio = self._images[0][0].height() / self._images[0][0].width() if self._images else 1.0

        def width(rows: int) -> float:
            side_w = (self.width() - 8 + _SPACE) / -(-n // rows) - _SPACE
            row_h = (self.height() - (rows - 1) * _ROW_SPACE) / rows - _LOWEST_BAR - 6
            return min(side_w, row_h / ratio)

        return max(range(1, min(n, _MOST_ROWS) + 1), key=lambda rows: (round(width(rows)), -rows))

    def _bar(self, painter: QPainter, box: QRectF, i: int, kept: bool) -> None:
        """One bar, its height the attention over the largest of the window (at least 1)."""
        assert self._attention is not None
        value = float(self._attention[i])
        part = min(max(value / max(1e-9, float(self._attention.max())), 0.0), 1.0)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.TRACK)
        painter.drawRoundedRect(box, 3, 3)
        filled = box.adjusted(0, box.height() * (1 - part), 0, 0)
        if kept:
            colour = QColor(theme.AMBER)
            colour.setAlphaF(0.45 + 0.55 * part)
            painter.setBrush(colour)
            if filled.height() >= 1:
                painter.drawRoundedRect(filled, 3, 3)
        else:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(theme.FAINT, 1))
            painter.drawRoundedRect(filled.adjusted(0.5, 0.5, -0.5, -0.5), 3, 3)

    def _colour(self) -> None:
        """Make the pictures of the steps, once for each tensor and palette."""
        if self._drawn[0] is self._steps and self._drawn[1] == self._palette:
            return
        self._drawn = (self._steps, self._palette)
        table = colour_table(PALETTES[self._palette], SHADES)
        self._images = []
        for shades in () if self._steps is None else self._steps.pictures:
            pixels = np.ascontiguousarray(shades)
            height, width = pixels.shape
            image = QImage(pixels.data, width, height, width, QImage.Format.Format_Indexed8)
            image.setColorTable(table)
            self._images.append((image, pixels))

"""The picture of events, with boxes, the pixel under the mouse, a legend and the state of the view over it."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QImage, QPainter, QPen

from evpipe.packets import U8
from evpipe.view import theme
from evpipe.view.boxes_layer import BoxesLayer
from evpipe.view.canvas import Canvas
from evpipe.view.palettes import PALETTES, Palette, colour_table
from evpipe.view.surface import SHADES, Accumulation, EventSurface
from evpipe.view.words import quantity

_GRID_FROM_SCALE = 12.0
_EDGE = 12.0


class EventsView(Canvas):
    """Draws an EventSurface. `surface` may be replaced by a copy: that is a frozen view."""

    def __init__(self, surface: EventSurface, palette: Palette, scale: float | None) -> None:
        super().__init__()
        self.surface = surface
        self.accumulation = Accumulation()
        self.colours: Palette = palette
        self.layer = BoxesLayer()
        self.frozen = False
        self.silent_s = 0.0  # how long nothing has come; 0: all is well
        self._first_scale = scale
        self._drawn: tuple[int, Accumulation, Palette] | None = None
        self._pixels: U8 = np.zeros((0, 0), np.uint8)

    def redraw(self) -> None:
        """Draw the surface if it, the accumulation or the palette changed since the last time."""
        wanted = (self.surface.version, self.accumulation, self.colours)
        height, width = self.surface.shape
        if wanted == self._drawn or not width:
            return
        self._drawn = wanted
        self.layer.sensor = (height, width)
        if self._pixels.shape != (height, width):
            self._pixels = np.zeros((height, width), np.uint8)
        self.surface.draw(self.accumulation, self._pixels)
        image = QImage(self._pixels.data, width, height, width, QImage.Format.Format_Indexed8)
        image.setColorTable(colour_table(PALETTES[self.colours], SHADES))
        self.show_image(image)
        if self._first_scale is not None:
            self.set_scale(self._first_scale)
            self._first_scale = None

    def overlay(self, painter: QPainter) -> None:
        """Grid, boxes, legend, pixel, state."""
        if self.scale() >= _GRID_FROM_SCALE:
            self._grid(painter)
        self.layer.paint(painter, self.target(), self.scale(), self.layer.sensor)
        part = self.visible_part()
        inner = part.adjusted(_EDGE, _EDGE, -_EDGE, -_EDGE)
        self._legend(painter, inner)
        told = self.layer.told()
        if told:
            theme.chip(painter, told, QRectF(inner.right() - theme.chip_width(told), inner.top(), 0, 0), theme.SOFT)
        self._pixel(painter, inner)
        if self.frozen:
            theme.chip(painter, "Frozen  ·  space or L: back to live", inner, theme.AMBER)
            painter.setPen(QPen(theme.AMBER, 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(part.adjusted(1, 1, -1, -1))
        elif self.silent_s:
            theme.chip(painter, f"No data for {self.silent_s:.1f} s", inner, theme.AMBER)

    def _grid(self, painter: QPainter) -> None:
        target, scale = self.target(), self.scale()
        colour = QColor(*PALETTES[self.colours].grid)
        painter.setPen(QPen(colour, 1))
        first, last = self.to_picture(QPointF(0, 0)), self.to_picture(QPointF(self.width(), self.height()))
        top, bottom = max(0.0, target.top()), min(float(self.height()), target.bottom())
        left, right = max(0.0, target.left()), min(float(self.width()), target.right())
        assert self.image is not None
        for x in range(max(0, int(first.x())), min(self.image.width(), int(last.x()) + 1) + 1):
            at = target.left() + x * scale
            painter.drawLine(QPointF(at, top), QPointF(at, bottom))
        for y in range(max(0, int(first.y())), min(self.image.height(), int(last.y()) + 1) + 1):
            at = target.top() + y * scale
            painter.drawLine(QPointF(left, at), QPointF(right, at))

    def _legend(self, painter: QPainter, inner: QRectF) -> None:
        colours = PALETTES[self.colours]
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(inner.left(), inner.bottom() - 26, 106, 26)
        painter.setPen(QPen(theme.with_alpha(theme.SOFT, 0.2), 1))
        painter.setBrush(QColor(16, 21, 28, 225))
        painter.drawRoundedRect(box, 7, 7)
        painter.setFont(theme.font(11, QFont.Weight.Medium))
        for left, name, colour in ((10, "ON", colours.on), (56, "OFF", colours.off)):
            painter.setPen(QPen(theme.with_alpha(theme.SOFT, 0.5), 1))
            painter.setBrush(QColor(*colour))
            painter.drawEllipse(QRectF(box.left() + left, box.center().y() - 4.5, 9, 9))
            painter.setPen(theme.TEXT)
            text = QRectF(box.left() + left + 15, box.top(), 30, box.height())
            painter.drawText(text, Qt.AlignmentFlag.AlignVCenter, name)
        painter.restore()

    def _pixel(self, painter: QPainter, inner: QRectF) -> None:
        at = self.pixel()
        state = self.surface.at(*at, self.accumulation) if at else None
        if at is None or state is None:
            return
        target, scale = self.target(), self.scale()
        text = f"x {at[0]}   y {at[1]}"
        if state.t_us is None:
            text += "   no event yet"
        else:
            sign, events = "ON" if state.p else "OFF", "event" if state.count == 1 else "events"
            text += f"   last {sign} at {state.t_us:,} µs".replace(",", " ")
            text += f"   {quantity(state.count)} {events} shown"
        width = theme.chip_width(text)
        beside = inner.width() >= width + 116  # else above the legend
        left = inner.right() - width if beside else inner.left()
        theme.chip(painter, text, QRectF(left, inner.bottom() - (26 if beside else 60), 0, 0), theme.TEXT)
        if scale >= 4:
            painter.setPen(QPen(theme.ACCENT, 1.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(QRectF(target.left() + at[0] * scale, target.top() + at[1] * scale, scale, scale))

"""The picture and the events of its exposure beside each other, each dragged and zoomed on its own."""

# ruff: noqa: N802 - Qt names the methods that are overridden here
from __future__ import annotations

from PySide6.QtCore import QRectF
from PySide6.QtGui import QImage, QPainter, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QWidget

from evpipe.view import theme
from evpipe.view.canvas import Canvas
from evpipe.view.pair_picture import PairPicture
from evpipe.view.palettes import PALETTES, Palette, colour_table

_EDGE = 10.0
_LEAST_PX = 240  # wide enough for what a side says without a picture


class _Side(Canvas):
    """One of the two pictures; a chip says what is wrong with it."""

    def __init__(self) -> None:
        super().__init__()
        self.fault = ""

    def overlay(self, painter: QPainter) -> None:
        """What is wrong, if anything is."""
        if self.fault:
            theme.chip(painter, self.fault, QRectF(self.rect()).adjusted(_EDGE, _EDGE, 0, 0), theme.AMBER)


class PairView(QWidget):
    """Shows the newest FramePair; where one of its pictures is missing, the last one is taken away and it is said."""

    def __init__(self) -> None:
        super().__init__()
        self.picture, self.events = _Side(), _Side()
        self._shown: PairPicture | None = None
        self._colours: Palette = "dark"
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.GAP)
        layout.addStretch(1)
        layout.addWidget(self.picture, 1000)
        layout.addWidget(self.events, 1000)
        layout.addStretch(1)

    def wait_for(self, text: str) -> None:
        """What an empty view says."""
        if self._shown is None:
            self.picture.waiting = self.events.waiting = text

    def show_pair(self, pair: PairPicture, colours: Palette) -> None:
        """Paint this pair next; nothing happens when it is the one shown, in these colours."""
        if pair is self._shown and colours == self._colours:
            return
        self._shown, self._colours = pair, colours  # a QImage does not keep its memory alive
        self.picture.waiting, self.events.waiting = "No frame for this span", "Nothing is known of events in this span"
        self.picture.fault = ""
        self.events.fault = "" if pair.complete else "events incomplete"
        if pair.image is None:
            self._take_away(self.picture)
        else:
            height, width = pair.image.shape[:2]
            colour = pair.image.ndim == 3
            form = QImage.Format.Format_RGB888 if colour else QImage.Format.Format_Grayscale8
            self.picture.show_image(QImage(pair.image.data, width, height, width * (3 if colour else 1), form))
        if pair.lag_us:
            self.picture.fault = f"{pair.lag_us / 1000:.4g} ms before the window's end"
        if pair.shades is None:
            self._take_away(self.events)
        else:
            height, width = pair.shades.shape
            image = QImage(pair.shades.data, width, height, width, QImage.Format.Format_Indexed8)
            image.setColorTable(colour_table(PALETTES[colours], 1))
            self.events.show_image(image)

        self._close_up()

    def _close_up(self) -> None:
        """No side is wider than its picture is at this height, so that the two stand close together."""
        shape = None
        for image in (self.picture.image, self.events.image):
            if image is not None:
                shape = max(shape or 0.0, image.width() / image.height())
        if shape is not None:
            for side in (self.picture, self.events):
                side.setMaximumWidth(max(_LEAST_PX, round(self.height() * shape)))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The pictures stay close together."""
        self._close_up()

    def reset_view(self) -> None:
        """Fit both pictures."""
        self.picture.reset_view()
        self.events.reset_view()

    def update_waiting(self) -> None:
        """Turn the arc of what waits."""
        self.picture.update()
        self.events.update()

    @staticmethod
    def _take_away(side: _Side) -> None:
        side.image = None
        side.update()

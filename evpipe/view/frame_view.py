"""The camera's own picture, grey or in colour, with boxes over it."""

from __future__ import annotations

from PySide6.QtGui import QImage, QPainter

from evpipe.packets import U8, Frame
from evpipe.view.boxes_layer import BoxesLayer
from evpipe.view.canvas import Canvas


class FrameView(Canvas):
    """Draws the newest Frame, under the boxes of `layer`."""

    def __init__(self, layer: BoxesLayer | None = None) -> None:
        super().__init__()
        self.layer = BoxesLayer() if layer is None else layer
        self._pixels: U8 | None = None

    def show_frame(self, frame: Frame) -> None:
        """Paint this frame next; nothing happens when it is the one shown."""
        if frame.image is self._pixels:
            return
        self._pixels = frame.image  # a QImage does not keep its memory alive
        height, width = frame.image.shape[:2]
        colour = frame.image.ndim == 3
        form = QImage.Format.Format_RGB888 if colour else QImage.Format.Format_Grayscale8
        self.show_image(QImage(frame.image.data, width, height, width * (3 if colour else 1), form))

    def overlay(self, painter: QPainter) -> None:
        """The boxes."""
        assert self.image is not None
        self.layer.paint(painter, self.target(), self.scale(), (self.image.height(), self.image.width()))

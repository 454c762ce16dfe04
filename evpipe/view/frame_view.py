"""The camera's own picture, grey or in colour."""

from __future__ import annotations

from PySide6.QtGui import QImage

from evpipe.packets import U8, Frame
from evpipe.view.canvas import Canvas


class FrameView(Canvas):
    """Draws the newest Frame."""

    def __init__(self) -> None:
        super().__init__()
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

"""A picture that is dragged and zoomed: aspect kept, smooth when small, sharp pixels when large."""

# ruff: noqa: N802 - Qt names the methods that are overridden here
from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QImage, QMouseEvent, QPainter, QWheelEvent
from PySide6.QtWidgets import QSizePolicy

from evpipe.view import theme
from evpipe.view.painted import Painted

_MAX_SCALE = 64.0


class Canvas(Painted):
    """Shows one QImage, fitted; the wheel zooms at the cursor and a drag moves. Views paint over it by `overlay`."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = ""
        self.image: QImage | None = None
        self.hover: QPointF | None = None
        self._zoom = 1.0
        self._centre: QPointF | None = None
        self._drag: QPointF | None = None
        self.setMouseTracking(True)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(160, 90)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        """Room for a picture."""
        return QSize(320, 240)

    def show_image(self, image: QImage) -> None:
        """The next picture. The view stays where it is unless the size of the picture changed."""
        if self.image is None or self.image.size() != image.size():
            self._centre = None
        self.image = image
        self.update()

    def reset_view(self) -> None:
        """Fit the whole picture."""
        self._zoom, self._centre = 1.0, None
        self.update()

    def set_scale(self, scale: float) -> None:
        """Screen pixels per pixel of the picture, about its middle."""
        if self.image is not None:
            self._zoom = scale / self._fit()
            self.update()

    def scale(self) -> float:
        """Screen pixels per pixel of the picture."""
        return self._fit() * self._zoom

    def target(self) -> QRectF:
        """Where the picture lies, in widget coordinates."""
        assert self.image is not None
        scale, width, height = self.scale(), self.image.width(), self.image.height()
        centre = self._centre or QPointF(width / 2, height / 2)
        left, top = self.width() / 2 - centre.x() * scale, self.height() / 2 - centre.y() * scale
        return QRectF(left, top, width * scale, height * scale)

    def to_picture(self, at: QPointF) -> QPointF:
        """From widget to picture coordinates."""
        target, scale = self.target(), self.scale()
        return QPointF((at.x() - target.x()) / scale, (at.y() - target.y()) / scale)

    def pixel(self) -> tuple[int, int] | None:
        """Column and row under the mouse."""
        if self.image is None or self.hover is None:
            return None
        at = self.to_picture(self.hover)
        x, y = int(at.x() // 1), int(at.y() // 1)
        return (x, y) if 0 <= x < self.image.width() and 0 <= y < self.image.height() else None

    def overlay(self, painter: QPainter) -> None:
        """What a view paints over its picture."""

    def paint(self, painter: QPainter) -> None:
        """The picture, or what is waited for."""
        painter.fillRect(self.rect(), theme.CARD)
        if self.image is None:
            theme.waiting(painter, QRectF(self.rect()), self.waiting)
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, self.scale() < 1.0)
        painter.drawImage(self.target(), self.image, QRectF(self.image.rect()))
        self.overlay(painter)

    def visible_part(self) -> QRectF:
        """Where the widget shows the picture; overlays stay within."""
        return self.target().intersected(QRectF(self.rect()))

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom, with the pixel under the cursor staying under it."""
        if self.image is None:
            return
        at = event.position()
        fixed = self.to_picture(at)
        self._zoom = min(max(self._zoom * 1.25 ** (event.angleDelta().y() / 120), 1.0), _MAX_SCALE / self._fit())
        scale = self.scale()
        self._move_to(
            QPointF(fixed.x() - (at.x() - self.width() / 2) / scale, fixed.y() - (at.y() - self.height() / 2) / scale)
        )
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a drag."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._drag = event.position()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End a drag."""
        self._drag = None
        self.unsetCursor()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag, and remember the pixel under the mouse."""
        self.hover = event.position()
        if self._drag is not None and self.image is not None and self._zoom > 1.0:
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
            moved, scale = event.position() - self._drag, self.scale()
            self._drag = event.position()
            centre = self._centre or QPointF(self.image.width() / 2, self.image.height() / 2)
            self._move_to(QPointF(centre.x() - moved.x() / scale, centre.y() - moved.y() / scale))
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        """No pixel is under the mouse."""
        self.hover = None
        self.update()

    def _move_to(self, centre: QPointF) -> None:
        """Set the picture point in the middle, so that the view stays within the picture."""
        assert self.image is not None
        if self._zoom == 1.0:
            self._centre = None
        else:
            scale = self.scale()
            self._centre = QPointF(
                _within(centre.x(), self.image.width(), self.width() / scale),
                _within(centre.y(), self.image.height(), self.height() / scale),
            )
        self.update()

    def _fit(self) -> float:
        assert self.image is not None
        return max(1e-3, min(self.width() / self.image.width(), self.height() / self.image.height()))


def _within(centre: float, size: float, seen: float) -> float:
    """The centre nearest to the one asked for with no empty border; the middle where all is seen."""
    return size / 2 if seen >= size else min(max(centre, seen / 2), size - seen / 2)

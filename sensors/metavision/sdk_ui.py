"""Windows with the names of `metavision_sdk_ui`, on Qt: a picture at a time, keys and closing by polling.

Qt is loaded when the first window opens. All calls belong into the main thread.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from enum import Enum, IntEnum
from typing import Any, Self

import numpy as np

from evpipe.packets import U8

UIAction = IntEnum("UIAction", {"RELEASE": 0, "PRESS": 1, "REPEAT": 2})
_NAMED = {
    "SPACE": 32,
    "ESCAPE": 256,
    "ENTER": 257,
    "TAB": 258,
    "BACKSPACE": 259,
    "RIGHT": 262,
    "LEFT": 263,
    "DOWN": 264,
    "UP": 265,
}
_LETTERS = {chr(code): code for code in (*range(ord("0"), ord("9") + 1), *range(ord("A"), ord("Z") + 1))}
UIKeyEvent = IntEnum("UIKeyEvent", {f"KEY_{name}": code for name, code in (_NAMED | _LETTERS).items()})  # type: ignore[misc]
"""Codes of keys, those of GLFW."""

KeyCallback = Callable[[int, int, int, int], Any]


class BaseWindow:
    """One window that shows uint8 pictures, opened by `with`, scaled to its size."""

    class RenderMode(Enum):
        """How pictures are coded: [H, W, 3] blue green red, or [H, W] grey."""

        BGR = 3
        GRAY = 2

    def __init__(
        self, title: str, width: int, height: int, mode: RenderMode = RenderMode.BGR, open_directly: bool = False
    ) -> None:
        """`width`, `height`: px at the start. `open_directly`: without waiting for `with`."""
        self._title, self._size, self._mode = title, (int(width), int(height)), mode
        self._pane: Any = None
        self._callback: KeyCallback | None = None
        self._closing = False
        if open_directly:
            self._open()

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy()

    def destroy(self) -> None:
        """Close the window."""
        if self._pane is not None:
            self._pane.close()
            self._pane = None

    def set_keyboard_callback(self, callback: KeyCallback) -> None:
        """`callback(key, scancode, action, mods)`, called from EventLoop.poll_and_dispatch."""
        self._callback = callback

    def set_close_flag(self) -> None:
        """From now on `should_close` is true."""
        self._closing = True

    def should_close(self) -> bool:
        """Whether a person closed the window, or `set_close_flag` was called."""
        return self._closing

    def get_size(self) -> tuple[int, int]:
        """(width, height) in px as it was opened."""
        return self._size

    def _open(self) -> None:
        if self._pane is None:
            self._pane = _pane(self._title, self._size, self._key, self.set_close_flag)

    def _key(self, key: int, scancode: int, action: int, mods: int) -> None:
        if self._callback is not None:
            self._callback(key, scancode, action, mods)

    def _show(self, image: U8, at_once: bool) -> None:
        if self._pane is None:
            raise RuntimeError("The window must be open to call the show method: use it in a `with` block")
        dimensions = self._mode.value
        if image.ndim != dimensions or (dimensions == 3 and image.shape[2] != 3):
            raise ValueError(
                f"Incompatible input map's dimensions number: {self._mode.name} takes "
                f"{'[H, W, 3]' if dimensions == 3 else '[H, W]'}, not {list(image.shape)}"
            )
        if image.dtype != np.uint8:
            raise ValueError(f"Incompatible input dtype: it takes uint8, not {image.dtype}")
        self._pane.show_picture(image.copy(), at_once)


class Window(BaseWindow):
    """A window that shows a picture before `show` returns."""

    def show(self, image: U8) -> None:
        """Show a uint8 picture. Raises RuntimeError when the window is not open, ValueError for another array."""
        self._show(image, at_once=True)


class MTWindow(BaseWindow):
    """A window that shows the newest picture at the next poll; those between are left out."""

    def show_async(self, image: U8, auto_poll: bool = True) -> None:
        """As Window.show, but at once back; `auto_poll` is taken for compatibility."""
        self._show(image, at_once=False)


class EventLoop:
    """Lets windows paint, hear keys and close."""

    @staticmethod
    def poll_and_dispatch(sleep_time_ms: int = 0) -> None:
        """Handle what came since the last call, then sleep. Without an open window it only sleeps."""
        if (qt := sys.modules.get("PySide6.QtWidgets")) and (application := qt.QApplication.instance()):
            application.processEvents()
        if sleep_time_ms > 0:
            time.sleep(sleep_time_ms * 1e-3)


def _application() -> Any:
    """The Qt application. Raises RuntimeError when there is no Qt or no display (Qt would end the process)."""
    try:
        from PySide6.QtWidgets import QApplication
    except ImportError:
        raise RuntimeError("windows need PySide6: pip install PySide6-Essentials") from None
    if application := QApplication.instance():
        return application
    shown = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))
    if sys.platform.startswith("linux") and not shown:
        raise RuntimeError(
            "no display: neither DISPLAY nor WAYLAND_DISPLAY is set; use ssh -X or a desktop session, or set "
            "QT_QPA_PLATFORM=offscreen to run without a picture"
        )
    return QApplication([])


def _pane(title: str, size: tuple[int, int], on_key: KeyCallback, on_close: Callable[[], None]) -> Any:
    """An open Qt widget that shows pictures."""
    application = _application()
    from PySide6.QtCore import Qt
    from PySide6.QtGui import QCloseEvent, QImage, QKeyEvent, QPainter, QPaintEvent
    from PySide6.QtWidgets import QWidget

    codes = {
        Qt.Key.Key_Escape: 256,
        Qt.Key.Key_Return: 257,
        Qt.Key.Key_Enter: 257,
        Qt.Key.Key_Tab: 258,
        Qt.Key.Key_Backspace: 259,
        Qt.Key.Key_Right: 262,
        Qt.Key.Key_Left: 263,
        Qt.Key.Key_Down: 264,
        Qt.Key.Key_Up: 265,
    }

    class Pane(QWidget):
        picture: U8 | None = None

        def show_picture(self, image: U8, at_once: bool) -> None:
            self.picture = image
            self.repaint() if at_once else self.update()

        def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 (Qt's name)
            if self.picture is None:
                return
            height, width = self.picture.shape[:2]
            colour = self.picture.ndim == 3
            kind = QImage.Format.Format_BGR888 if colour else QImage.Format.Format_Grayscale8
            image = QImage(self.picture.data, width, height, width * (3 if colour else 1), kind)
            with QPainter(self) as painter:
                painter.drawImage(self.rect(), image)

        def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
            self.told(event, UIAction.REPEAT if event.isAutoRepeat() else UIAction.PRESS)

        def keyReleaseEvent(self, event: QKeyEvent) -> None:  # noqa: N802
            if not event.isAutoRepeat():
                self.told(event, UIAction.RELEASE)

        def told(self, event: QKeyEvent, action: int) -> None:
            on_key(codes.get(Qt.Key(event.key()), event.key()), event.nativeScanCode(), action, 0)

        def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
            on_close()
            event.accept()

    pane = Pane()
    pane.setWindowTitle(title)
    pane.resize(*size)
    pane.show()
    application.processEvents()
    return pane

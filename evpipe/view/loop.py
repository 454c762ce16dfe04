"""Qt's event loop around the window: started in the main thread, left from another."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QEventLoop, QObject, Qt, QTimer, Signal
from PySide6.QtWidgets import QApplication

from evpipe.errors import NodeError
from evpipe.operator import Alone, Context
from evpipe.view.board import Board
from evpipe.view.icon import icon
from evpipe.view.main_window import MainWindow
from evpipe.view.palettes import Palette
from evpipe.view.qt_none import keep_none
from evpipe.view.surface import Accumulation


class Loop(QObject):
    """Owns the application (unless there is one already), the window and the screenshot that a parameter asked for."""

    _leaving = Signal()

    def __init__(
        self,
        board: Board,
        context: Context,
        *,
        accumulation: Accumulation,
        fps: int,
        palette: Palette,
        scale: float | None,
        screenshot: str,
        screenshot_us: int,
        fullscreen: bool,
    ) -> None:
        keep_none()
        app = QApplication.instance() or QApplication(["evpipe"])
        if not isinstance(app, QApplication):
            raise NodeError(
                "no window can be shown: a Qt application without widgets runs in this process; "
                "make it a QApplication, or run the window in a worker of its own"
            )
        super().__init__()
        self._app = app  # PySide ends an application that nobody holds
        app.setApplicationName("evpipe")
        app.setQuitOnLastWindowClosed(False)
        app.setWindowIcon(icon())
        self._board = board
        self._screenshot = Path(screenshot) if screenshot else None
        self._screenshot_us = screenshot_us
        self._error: BaseException | None = None
        self._loop = QEventLoop()
        # Queued, so that leaving before run() began takes effect when it does.
        self._leaving.connect(self._loop.quit, Qt.ConnectionType.QueuedConnection)
        self.window = MainWindow(board, context, accumulation=accumulation, fps=fps, palette=palette, scale=scale)
        if isinstance(context, Alone):
            self.window.closed.connect(self.leave)  # nobody else would end the loop
        if fullscreen:
            self.window.showFullScreen()
        else:
            self.window.show()
        self._watch = QTimer(self)
        self._watch.timeout.connect(self._take_when_due)
        if self._screenshot is not None and screenshot_us:
            self._watch.start(5)
        self._loop.processEvents()

    def run(self) -> None:
        """Until `leave`. Raises the first error of a view, which Qt would only print and meet again at each paint."""
        printed, sys.excepthook = sys.excepthook, self._failed
        try:
            self._loop.exec()
            if self._screenshot is not None:
                self._take()
        finally:
            sys.excepthook = printed
        if self._error is not None:
            raise self._error

    def leave(self) -> None:
        """End `run` soon. Safe from any thread."""
        self._leaving.emit()

    def close(self) -> None:
        """Take the window away. Raises NodeError when the asked screenshot could not be written."""
        self._watch.stop()
        self.window.take_away()
        failed = self.window.finish_screenshots()
        self.window.deleteLater()
        self._loop.processEvents()
        if failed is not None:
            raise NodeError(
                f"the screenshot {failed.filename} could not be written: {failed.strerror}; "
                "give a path in a folder that exists and can be written"
            )

    def _take_when_due(self) -> None:
        seen = self._board.take()
        if seen.passed_us is not None and seen.passed_us >= self._screenshot_us:
            self._take()

    def _take(self) -> None:
        assert self._screenshot is not None
        path, self._screenshot = self._screenshot, None
        self._watch.stop()
        self.window.screenshot_to(path)

    def _failed(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self._error = self._error or error.with_traceback(trace)
        self.leave()

"""Screenshots: the picture is taken in the GUI thread, made a PNG and written in another, since that takes 160 ms."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QBuffer, QByteArray, QIODevice
from PySide6.QtGui import QImage, QImageWriter


def png_bytes(image: QImage) -> bytes:
    """The picture as a PNG file."""
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    QImageWriter(buffer, QByteArray(b"png")).write(image)
    buffer.close()
    return bytes(data.data())


def write_numbered(image: QImage, folder: Path, app: str) -> Path:
    """Write `evpipe-<app>-<n>.png` with the first n that is free; an existing file is never replaced.

    Raises OSError when the folder cannot be written.
    """
    stem = re.sub(r"[^\w.-]+", "_", app) or "window"
    png, n = png_bytes(image), 1
    while True:
        path = folder / f"evpipe-{stem}-{n}.png"
        try:
            with path.open("xb") as file:
                file.write(png)
        except FileExistsError:
            n += 1
        else:
            return path


class Screenshots:
    """Runs one writing job at a time in a thread; `done` gets a line of text for the person and is called there."""

    def __init__(self, done: Callable[[str], None]) -> None:
        self._done = done
        self._threads: list[threading.Thread] = []
        self.failed: OSError | None = None

    def numbered(self, image: QImage, folder: Path, app: str) -> None:
        """A screenshot that a person asked for."""

        def write() -> None:
            try:
                self._done(f"saved {write_numbered(image, folder, app).name}")
            except OSError as error:
                self._done(f"no screenshot: {error.strerror}: {error.filename or folder}")

        self._start(write)

    def to(self, image: QImage, path: Path) -> None:
        """The screenshot that a parameter asked for; `failed` tells of an error."""

        def write() -> None:
            try:
                path.write_bytes(png_bytes(image))
                self._done(f"saved {path.name}")
            except OSError as error:
                self.failed = error

        self._start(write)

    def finish(self) -> None:
        """Wait until all is written."""
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _start(self, write: Callable[[], None]) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        self._threads.append(threading.Thread(target=write, name="screenshot"))
        self._threads[-1].start()

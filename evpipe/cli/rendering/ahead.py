"""Coding pictures beside drawing them: OpenCV, Pillow and zlib let go of Python's lock, so a second core helps."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from evpipe.cli.rendering.files import Output
from evpipe.packets import U8

_MOST = 4  # pictures that wait, so that memory stays as it is


class Ahead:
    """An output whose pictures are coded in a thread, in order. An error is raised by a later `add`, or by `finish`."""

    def __init__(self, made: Output) -> None:
        self.path = made.path
        self._made = made
        self._pool = ThreadPoolExecutor(1, "coding")
        self._under_way: deque[Future[None]] = deque()

    def add(self, picture: U8) -> None:
        """Hand over a picture, which must not be changed afterwards."""
        while len(self._under_way) >= _MOST:
            self._under_way.popleft().result()
        self._under_way.append(self._pool.submit(self._made.add, picture))

    def finish(self) -> None:
        """Wait for the last one."""
        while self._under_way:
            self._under_way.popleft().result()
        self._pool.shutdown()
        self._made.finish()

    def discard(self) -> None:
        """Give up what waits."""
        self._pool.shutdown(cancel_futures=True)
        self._made.discard()

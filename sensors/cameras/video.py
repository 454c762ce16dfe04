"""A video file as a source: its frames in RGB at the file's times and, by the pixel model, the events they give."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated, Any

from evpipe.errors import InputError
from evpipe.operator import Micros, Param, Source
from evpipe.packets import Events, Frame, Packet
from sensors.cameras.assemble import Assembler
from sensors.cameras.buffer import Placed
from sensors.formats.reader import Account, FrameChunk
from sensors.scenes.pixels import LEAK_HZ, SHOT_HZ
from sensors.video_events import Between, events_of
from sensors.video_pixels import Pixels

FORMATS = "OpenCV reads most mp4, avi, mkv and webm files; convert others, for example with ffmpeg to mpeg4"


class Video(Source):
    """Frames of a video file, from time 0 at its first one, and events of the pixel model with `events`.

    A file tells no exposure, so a frame's span is a moment. `threshold` is the mean contrast (log intensity) of an
    event and `noise` scales leak and shot noise; the same `seed` gives the same events. `between` says how the scene
    goes from a frame to the next: at once, linearly in log light, or along the optical flow in `steps` moments, for
    motion of more than a few pixels a frame. Raises InputError for a file that OpenCV cannot read.
    """

    def __init__(
        self,
        path: str,
        events: bool = False,
        between: Between = "linear",
        steps: Annotated[int, Param(min=1, max=1000, help="moments between two frames, for flow")] = 10,
        packet_us: Micros = 5_000,
        threshold: Annotated[float, Param(min=0.05, max=2.0, help="contrast of an event, in log intensity")] = 0.25,
        noise: Annotated[float, Param(min=0.0, max=1000.0, help="scales leak and shot noise")] = 1.0,
        seed: Annotated[int, Param(min=0)] = 0,
    ) -> None:
        self.path, self._events, self._packet_us = path, events, packet_us
        self._between, self._steps, self._seed = between, steps, seed
        self._pixels = Pixels(on=threshold, off=threshold, leak_hz=LEAK_HZ * noise, shot_hz=SHOT_HZ * noise)
        self._film: _Film | None = None

    def open(self) -> None:
        """Open the file and read its first frame. Raises InputError."""
        self._film = _Film(self.path)
        height, width = self._film.first.image.shape[:2]
        self.context.say(f"{self.path}: {width}x{height}, {self._film.declared} frames by its own word")

    def close(self) -> None:
        """Close the file."""
        if self._film is not None:
            self._film.close()
            self._film = None

    def ports(self) -> list[str] | None:
        """Frames, and events if wanted."""
        return ["events", "frame"] if self._events else ["frame"]

    def stream(self) -> Iterator[Events | Frame]:
        """Packets in order of `t1_us`."""
        film = self._film
        assert film is not None, "open() comes before stream()"
        if self._events:
            yield from self._with_events(film)  # type: ignore[misc]  # the assembler is told of these two kinds alone
        else:
            for shot in film.frames():
                yield Frame(t0_us=shot.start_us, t1_us=shot.end_us, image=shot.image)
        if film.n_read < film.declared:
            self.context.say(f"{self.path}: {film.n_read} of {film.declared} frames could be read")

    def _with_events(self, film: _Film) -> Iterator[Packet]:
        height, width = film.first.image.shape[:2]
        made, account = Assembler(self._packet_us, (width, height), ("events", "frame"), 0), Account()
        passed: list[FrameChunk] = []

        def frames() -> Iterator[FrameChunk]:
            for shot in film.frames():
                passed.append(shot)
                yield shot

        made.push(Placed([], 0))
        for chunk in events_of(
            frames(), self._pixels, between=self._between, steps=self._steps, seed=self._seed, account=account
        ):
            made.push(Placed([chunk, *passed] if len(chunk.t) else [*passed], passed[-1].end_us))
            passed.clear()
            yield from made.take()
        made.push(Placed([*passed]))
        yield from made.finish()
        for what, count in account.notes.items():
            self.context.say(f"{self.path}: {count} {what}")


class _Film:
    """An open video file, read forward."""

    def __init__(self, path: str) -> None:
        import cv2

        if not os.path.isfile(path):
            raise InputError(f"{path}: no such file. Give the path of a video; {FORMATS}.")
        self.path, self._cv2 = path, cv2
        self._capture: Any = cv2.VideoCapture(path)
        first = self._next() if self._capture.isOpened() else None
        if first is None:
            self._capture.release()
            raise InputError(f"{path}: OpenCV finds no frame in it. {FORMATS}.")
        self._start_us = first.t_us
        self.first = FrameChunk(0, 0, 0, first.image)
        self.fps = float(self._capture.get(cv2.CAP_PROP_FPS)) or 25.0
        self.declared = max(int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        self.n_read, self._last_us = 1, 0

    def frames(self) -> Iterator[FrameChunk]:
        """The frames from the first on, at times that rise; once."""
        yield self.first
        while (frame := self._next()) is not None:
            self.n_read += 1
            t = frame.t_us - self._start_us
            if t <= self._last_us:  # a file without usable times: by its rate
                t = self._last_us + round(1e6 / self.fps)
            self._last_us = t
            yield FrameChunk(t, t, t, frame.image)

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _next(self) -> FrameChunk | None:
        got, picture = self._capture.read()
        if not got:
            return None
        t = round(self._capture.get(self._cv2.CAP_PROP_POS_MSEC) * 1_000)
        return FrameChunk(t, t, t, self._cv2.cvtColor(picture, self._cv2.COLOR_BGR2RGB))

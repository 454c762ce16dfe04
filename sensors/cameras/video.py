"""A video file as a source: its frames in RGB at the file's times and, by the pixel model, the events they would give.

Between two frames the light is interpolated: in a straight line of log intensity, or along the optical flow.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from evpipe.errors import InputError
from evpipe.operator import Micros, Param, Source
from evpipe.packets import U8, Events, Frame
from sensors.scenes.pixels import Draws, PixelArray, packets

F32 = NDArray[np.float32]
STEP_US = 2_000  # of the pixel model: between two steps the light changes in a straight line
GAMMA = 2.2  # of a video's 8-bit values
DARK = 0.01  # light (white is 1) added to every pixel, so that black has a logarithm
FORMATS = "OpenCV reads most mp4, avi, mkv and webm files; convert others, for example with ffmpeg to mpeg4"


class Video(Source):
    """Frames of a video file, from time 0 at its first one, and events of the pixel model with `events`.

    A file tells no exposure, so a frame's span is a moment. `threshold` is the mean contrast (log intensity) of an
    event and `noise` scales leak and shot noise, as of the simulated camera; the same `seed` gives the same events.
    `between`: how many pictures are made between two frames along the optical flow, for motion of more than a few
    pixels a frame; 0 fades from one to the other. Raises InputError for a file that OpenCV cannot read.
    """

    def __init__(
        self,
        path: str,
        events: bool = False,
        between: Annotated[int, Param(min=0, max=64, help="pictures made between two frames")] = 0,
        packet_us: Micros = 5_000,
        threshold: Annotated[float, Param(min=0.05, max=2.0, help="contrast of an event, in log intensity")] = 0.25,
        noise: Annotated[float, Param(min=0.0, max=1000.0, help="scales leak and shot noise")] = 1.0,
        seed: Annotated[int, Param(min=0)] = 0,
    ) -> None:
        self.path, self._events, self._between, self._packet_us = path, events, between, packet_us
        self._threshold, self._noise, self._seed = threshold, noise, seed
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
        yield from self._with_events(film) if self._events else film.frames()
        if film.n_read < film.declared:
            self.context.say(f"{self.path}: {film.n_read} of {film.declared} frames could be read")

    def _with_events(self, film: _Film) -> Iterator[Events | Frame]:
        light = _Light(film, self._between)
        draws = Draws(np.random.default_rng([self._seed, 1]), np.random.default_rng([self._seed, 2]))
        pixels = PixelArray(light.first, light.at, STEP_US, self._threshold, self._noise, self._noise, draws)
        for packet in packets(pixels, self._packet_us, None):
            end = light.end_us
            if end is not None and packet.t1_us > end:
                if packet.t0_us < end:
                    yield _until(packet, end)
                break
            yield from light.shown(packet.t1_us)
            yield packet
        yield from light.shown(None)


def _until(packet: Events, end_us: int) -> Events:
    n = int(np.searchsorted(packet.t, end_us))
    return Events(
        t0_us=packet.t0_us,
        t1_us=end_us,
        t=packet.t[:n],
        x=packet.x[:n],
        y=packet.y[:n],
        p=packet.p[:n],
        width=packet.width,
        height=packet.height,
    )


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
        self._start_us = first.t0_us
        self.first = Frame(t0_us=0, t1_us=0, image=first.image)
        self.fps = float(self._capture.get(cv2.CAP_PROP_FPS)) or 25.0
        self.declared = max(int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        self.n_read, self._last_us = 1, 0

    def frames(self) -> Iterator[Frame]:
        """The frames from the first on, at times that rise; once."""
        yield self.first
        while (frame := self._next()) is not None:
            self.n_read += 1
            t = frame.t0_us - self._start_us
            if t <= self._last_us:  # a file without usable times: by its rate
                t = self._last_us + round(1e6 / self.fps)
            self._last_us = t
            yield Frame(t0_us=t, t1_us=t, image=frame.image)

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _next(self) -> Frame | None:
        got, picture = self._capture.read()
        if not got:
            return None
        t = round(self._capture.get(self._cv2.CAP_PROP_POS_MSEC) * 1_000)
        return Frame(t0_us=t, t1_us=t, image=self._cv2.cvtColor(picture, self._cv2.COLOR_BGR2RGB))


class _Light:
    """Log light of a film at any moment that moves on, and its frames as they are passed."""

    def __init__(self, film: _Film, between: int) -> None:
        import cv2

        self._cv2: Any = cv2
        self._between = between
        self._coming = film.frames()
        self._log = np.log((np.arange(256) / 255.0) ** GAMMA + DARK).astype(np.float32)
        frame = next(self._coming)
        self._passed = [frame]
        self.first = self._light(self._grey(frame.image))
        self.end_us: int | None = None  # the time of the last frame, once it is known
        self._keys = [(0, self.first)]  # pictures (time, log light) around the moments that are asked for
        self._last = frame
        self._flow: Any = self._cv2.DISOpticalFlow_create(self._cv2.DISOPTICAL_FLOW_PRESET_FAST) if between else None

    def at(self, moments: NDArray[np.int64]) -> Callable[[int, F32, NDArray[np.int32], NDArray[np.int32]], None]:
        """What paints the moments; they must not lie before those that were asked for earlier."""
        while self.end_us is None and self._keys[-1][0] < moments[-1]:
            self._read_on()
        keep = max(sum(t <= moments[0] for t, _ in self._keys) - 1, 0)
        self._keys = self._keys[keep:]

        def paint(k: int, now: F32, lo: NDArray[np.int32], hi: NDArray[np.int32]) -> None:
            self._paint(int(moments[k]), now)
            lo[:], hi[:] = 0, now.shape[1]

        return paint

    def shown(self, until_us: int | None) -> Iterator[Frame]:
        """Frames that were passed and end at or before a time (None: all)."""
        while self._passed and (until_us is None or self._passed[0].t1_us <= until_us):
            yield self._passed.pop(0)

    def _paint(self, t_us: int, now: F32) -> None:
        after = next((index for index, (t, _) in enumerate(self._keys) if t >= t_us), len(self._keys) - 1)
        t1, picture = self._keys[after]
        if after == 0 or t1 < t_us:
            now[:] = picture
            return
        t0, before = self._keys[after - 1]
        share = np.float32((t_us - t0) / (t1 - t0))
        np.subtract(picture, before, out=now)
        now *= share
        now += before

    def _read_on(self) -> None:
        frame = next(self._coming, None)
        if frame is None:
            self.end_us = self._last.t1_us
            return
        if self._between:
            self._keys += self._made_between(self._last, frame)
        self._keys.append((frame.t0_us, self._light(self._grey(frame.image))))
        self._passed.append(frame)
        self._last = frame

    def _made_between(self, before: Frame, after: Frame) -> list[tuple[int, F32]]:
        """Pictures between two frames: each is moved along the flow to the moment, and the two are mixed."""
        old, new = self._grey(before.image), self._grey(after.image)
        flow = self._flow.calc(old, new, None)
        height, width = old.shape
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        made = []
        for k in range(1, self._between + 1):
            share = np.float32(k / (self._between + 1))
            forward = self._moved(old, columns - share * flow[..., 0], rows - share * flow[..., 1])
            backward = self._moved(new, columns + (1 - share) * flow[..., 0], rows + (1 - share) * flow[..., 1])
            t = before.t0_us + round(float(share) * (after.t0_us - before.t0_us))
            made.append((t, (1 - share) * self._light(forward) + share * self._light(backward)))
        return made

    def _moved(self, grey: U8, columns: F32, rows: F32) -> U8:
        moved: U8 = self._cv2.remap(grey, columns, rows, self._cv2.INTER_LINEAR, borderMode=self._cv2.BORDER_REPLICATE)
        return moved

    def _grey(self, image: U8) -> U8:
        grey: U8 = self._cv2.cvtColor(image, self._cv2.COLOR_RGB2GRAY)
        return grey

    def _light(self, grey: U8) -> F32:
        light: F32 = self._log[grey]
        return light

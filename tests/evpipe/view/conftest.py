"""A window in this process, a context that remembers what was asked of it, and small packets to feed it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from evpipe.operator import InputState, Transport
from evpipe.packets import Boxes, Events, Frame, FramePair, Scores, Tensor
from evpipe.view import Window
from evpipe.view.display import LIBRARIES

ALL = ("camera.events", "camera.frame", "bins.tensor", "har.scores")


class FakeContext:
    """What a runtime offers, with figures that a test sets."""

    node, app = "window", "demo"

    def __init__(self, origins: tuple[str, ...], clock: str) -> None:
        self.clock = clock
        self.states = [InputState(origin, 0, 0, 12.0) for origin in origins]
        self.stops = 0
        self.plays = Transport()
        self.asked: list[dict[str, Any]] = []

    def ask(self, verb: str, **arguments: Any) -> None:
        self.asked.append({"verb": verb} | arguments)

    def transport(self) -> Transport:
        return self.plays

    def say(self, text: str) -> None:
        raise AssertionError(text)

    def stop(self) -> None:
        self.stops += 1

    def inputs(self) -> list[InputState]:
        return self.states


class Rig:
    """An open Window operator, its Qt window and its context."""

    def __init__(self, origins: tuple[str, ...], clock: str, params: dict[str, Any]) -> None:
        self.op = Window(**params)
        self.context = self.op.context = FakeContext(origins, clock)
        self.op.open()
        assert self.op._loop is not None
        self.window = self.op._loop.window

    def press(self, key: Any, shift: bool = False) -> None:
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        held = Qt.KeyboardModifier.ShiftModifier if shift else Qt.KeyboardModifier.NoModifier
        QTest.keyClick(self.window, key, held)

    def settle(self) -> Any:
        """Take the newest, paint, and give the picture of the window."""
        from PySide6.QtCore import QCoreApplication

        self.window.tick()
        QCoreApplication.processEvents()
        return self.window.grab().toImage()


@pytest.fixture
def qt() -> Iterator[None]:
    """An application, and no warning of Qt's during the test."""
    try:
        import PySide6.QtWidgets
    except ImportError as error:
        pytest.skip(f"Qt does not load ({error}); {LIBRARIES}")
    from PySide6.QtCore import QtMsgType, qInstallMessageHandler

    from evpipe.view.qt_none import keep_none

    keep_none()
    said: list[str] = []

    def listen(kind: QtMsgType, place: object, text: str) -> None:
        if kind not in (QtMsgType.QtDebugMsg, QtMsgType.QtInfoMsg):
            said.append(text)

    before = qInstallMessageHandler(listen)
    application = PySide6.QtWidgets.QApplication.instance() or PySide6.QtWidgets.QApplication(["evpipe"])
    yield
    application.processEvents()
    qInstallMessageHandler(before)
    assert said == []


@pytest.fixture
def open_window(qt: None) -> Iterator[Callable[..., Rig]]:
    """Opens windows: `open_window(origins, clock, **parameters)`. They are closed at the end of the test."""
    rigs: list[Rig] = []

    def open_(origins: tuple[str, ...] = ALL, clock: str = "live", **params: Any) -> Rig:
        rigs.append(Rig(origins, clock, params))
        return rigs[-1]

    yield open_
    for rig in rigs:
        rig.op.close()


class Make:
    """Packets of a 40 x 30 sensor."""

    width, height = 40, 30

    def events(self, t0_us: int, rows: list[tuple[int, int, int, int]], t1_us: int = 0) -> Events:
        """Events from rows (t, x, y, p)."""
        t, x, y, p = np.array(rows, np.int64).reshape(-1, 4).T
        return Events(
            t0_us=t0_us,
            t1_us=t1_us or t0_us + 10_000,
            t=np.ascontiguousarray(t),
            x=x.astype(np.uint16),
            y=y.astype(np.uint16),
            p=p.astype(np.uint8),
            width=self.width,
            height=self.height,
        )

    def block(self, t0_us: int, p: int = 1) -> Events:
        """An event at each pixel of a block of 20 x 10 in the middle."""
        return self.events(t0_us, [(t0_us + 5, x, y, p) for y in range(10, 20) for x in range(10, 30)])

    def frame(self, t0_us: int = 0, colour: tuple[int, int, int] = (200, 40, 40)) -> Frame:
        return Frame(t0_us=t0_us, t1_us=t0_us + 10, image=np.full((30, 40, 3), colour, np.uint8))

    def frame_pair(self, t0_us: int = 0, **changes: Any) -> FramePair:
        """A red picture with the block's events, ON; `changes` are fields."""
        events, image = self.block(t0_us), self.frame(t0_us).image
        columns = {name: getattr(events, name) for name in ("t", "x", "y", "p", "width", "height")}
        return FramePair(**({"t0_us": t0_us, "t1_us": t0_us + 10_000, "image": image} | columns | changes))

    def tensor(self, t1_us: int, steps: int = 4) -> Tensor:
        values = np.zeros((steps, 2, 8, 8), np.uint8)
        values[:, 1, 2:6, 2:6] = 1
        edges = t1_us - 480_000 + np.arange(steps + 1) * (480_000 // steps)
        return Tensor(t0_us=t1_us - 480_000, t1_us=t1_us, values=values, axes="TPHW", edges_us=edges)

    def scores(self, t1_us: int, values: tuple[float, ...] = (0.1, 0.8, 0.1), steps: int = 4) -> Scores:
        attention = np.linspace(0.1, 1.0, steps, dtype=np.float32) if steps else np.zeros(0, np.float32)
        return Scores(
            t0_us=t1_us - 480_000,
            t1_us=t1_us,
            labels=("walking", "waving", "falling"),
            values=np.array(values, np.float32),
            attention=attention,
            kept=attention > 0.3,
        )

    def boxes(self, t1_us: int) -> Boxes:
        one = np.ones(1, np.float32)
        return Boxes(
            t0_us=t1_us - 10,
            t1_us=t1_us,
            x=5 * one,
            y=8 * one,
            w=20 * one,
            h=15 * one,
            score=0.9 * one,
            label=np.zeros(1, np.int16),
            track=np.zeros(1, np.int32),
            labels=("person",),
        )


@pytest.fixture
def make() -> Make:
    return Make()

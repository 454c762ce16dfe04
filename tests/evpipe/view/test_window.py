"""The window driven as a person and a runtime drive it: packets from another thread, keys, the mouse, closing."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from evpipe.errors import NodeError
from evpipe.operator import InputState


def _rgb(image) -> np.ndarray:
    """The picture as uint8 [H, W, 3]."""
    from PySide6.QtGui import QImage

    image = image.convertToFormat(QImage.Format.Format_RGB888)
    raw = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return raw[:, : image.width() * 3].reshape(image.height(), image.width(), 3).copy()


def _near(picture: np.ndarray, colour: tuple[int, int, int], within: int = 12) -> int:
    """How many pixels have about this colour."""
    return int((np.abs(picture.astype(int) - np.array(colour)).max(axis=2) <= within).sum())


ON, OFF = (255, 241, 214), (64, 140, 255)
PERSON = (255, 180, 84)


def test_packets_from_a_thread_while_the_loop_runs(open_window, make) -> None:
    """The reader thread feeds and then ends the loop; what it brought is in the picture."""
    rig = open_window()
    threads = threading.active_count()

    def reader() -> None:
        for i in range(30):
            rig.op.on_events(make.block(i * 10_000))
            rig.op.on_frame(make.frame(i * 10_000))
            time.sleep(0.005)
        rig.op.on_tensor(make.tensor(500_000))
        rig.op.on_scores(make.scores(500_000))
        rig.op.on_end()
        rig.op.leave_main_loop()

    thread = threading.Thread(target=reader)
    thread.start()
    rig.op.main_loop()
    thread.join()
    assert threading.active_count() == threads
    picture = _rgb(rig.settle())
    assert _near(picture, ON) > 2_000
    assert _near(picture, (200, 40, 40)) > 2_000
    assert rig.window.top_bar.state == "ENDED"
    assert rig.context.stops == 0


def test_leaving_before_the_loop_began(open_window) -> None:
    """A run that ends at once does not leave the window hanging."""
    rig = open_window()
    thread = threading.Thread(target=rig.op.leave_main_loop)
    thread.start()
    thread.join()
    started = time.monotonic()
    rig.op.main_loop()
    assert time.monotonic() - started < 2


def test_before_the_first_packet_it_says_what_it_waits_for(open_window, make) -> None:
    """Never an empty box."""
    rig = open_window(("camera.events", "camera.frame"))
    first = _rgb(rig.settle())
    assert rig.window.top_bar.state == "WAITING"
    assert rig.window.views.events.waiting == "Waiting for camera.events"
    assert _near(first, (11, 14, 19), 3) < 0.5 * first.shape[0] * first.shape[1]
    rig.op.on_events(make.block(0))
    rig.settle()
    assert rig.window.top_bar.state == "LIVE"


@pytest.mark.parametrize(("clock", "state"), [("live", "LIVE"), ("replay", "REPLAY"), ("fast", "FAST")])
def test_state_of_the_clock(open_window, make, clock: str, state: str) -> None:
    """The pill says whether this is now."""
    rig = open_window(clock=clock)
    rig.op.on_events(make.block(0))
    rig.settle()
    assert rig.window.top_bar.state == state


def test_freeze_holds_the_picture_while_packets_go_on(open_window, make) -> None:
    """Space freezes, the picture stays, the rate goes on; L shows the newest."""
    from PySide6.QtCore import Qt

    rig = open_window(("camera.events",))
    rig.op.on_events(make.block(0, p=1))
    live = rig.settle()
    rig.press(Qt.Key.Key_Space)
    frozen = rig.settle()
    assert rig.window.top_bar.state == "FROZEN"
    for i in range(1, 200):
        rig.op.on_events(make.block(i * 10_000, p=0))
    held = rig.settle()
    assert _near(_rgb(live), ON) - _near(_rgb(frozen), ON) < 2_000  # the chip covers a little
    assert _near(_rgb(held), ON) == _near(_rgb(frozen), ON)
    assert _near(_rgb(held), OFF) < 500
    assert rig.op._board.take().rate > 0
    rig.op.on_events(make.block(2_000_000, p=0))
    rig.press(Qt.Key.Key_L)
    now = _rgb(rig.settle())
    assert rig.window.top_bar.state == "LIVE"
    assert _near(now, OFF) > 2_000
    rig.press(Qt.Key.Key_Space)
    rig.press(Qt.Key.Key_Space)
    assert rig.settle() is not None
    assert rig.window.top_bar.state == "LIVE"


def test_quiet_scene_clears(open_window, make) -> None:
    """Packets without events make the old ones go."""
    rig = open_window(("camera.events",))
    rig.op.on_events(make.block(0))
    assert _near(_rgb(rig.settle()), ON) > 2_000
    rig.op.on_events(make.events(10_000, [], 90_000))
    assert _near(_rgb(rig.settle()), ON) < 400  # the legend's dot and letters


def test_silence_is_said(open_window, make) -> None:
    """After half a second without packets the picture is marked and the state says so."""
    rig = open_window(("camera.events",))
    rig.op.on_events(make.block(0))
    rig.settle()
    rig.op._board._heard_s["events"] -= 1.3
    rig.settle()
    assert rig.window.views.events.silent_s == pytest.approx(1.3, abs=0.2)
    assert rig.window.top_bar.state == "NO DATA"
    rig.op.on_events(make.block(10_000))
    rig.settle()
    assert rig.window.views.events.silent_s == 0.0
    assert rig.window.top_bar.state == "LIVE"


def test_accumulation_keys(open_window, make) -> None:
    """Up and down change it, A takes a number of events instead of a time; the picture follows at once."""
    from PySide6.QtCore import Qt

    rig = open_window(("camera.events",))
    view = rig.window.views.events
    rig.op.on_events(make.events(0, [(1_000, 5, 5, 1)], 40_000))
    rig.settle()
    assert not view._pixels.any()
    rig.press(Qt.Key.Key_Up)
    assert view.accumulation.us == 50_000
    assert view._pixels.any()
    rig.press(Qt.Key.Key_Down)
    rig.press(Qt.Key.Key_Down)
    assert view.accumulation.us == 25_000
    assert not view._pixels.any()
    rig.press(Qt.Key.Key_A)
    assert view.accumulation.mode == "count"
    assert view._pixels.any()
    rig.press(Qt.Key.Key_Up)
    assert view.accumulation.count == 50_000
    rig.press(Qt.Key.Key_A)
    assert view.accumulation.mode == "time"


def test_typed_accumulation_gives_the_keys_back(open_window) -> None:
    """A typed value counts on Enter, and then keys are the window's again."""
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    rig = open_window(("camera.events",))
    rig.window.activateWindow()
    field = rig.window.views._tool._value
    field.setFocus()
    field.setText("")
    QTest.keyClicks(field, "7 ms")
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert rig.window.views.events.accumulation.us == 7_000
    assert not field.hasFocus()
    assert field.text() == "7 ms"
    QTest.keyClicks(field, "x")
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert field.text() == "7 ms"
    rig.window.views._tool._slider.setValue(0)
    assert rig.window.views.events.accumulation.us == 1_000


def test_palette_key(open_window, make) -> None:
    """C goes through all palettes and comes back."""
    from PySide6.QtCore import Qt

    from evpipe.view.palettes import NAMES, PALETTES

    rig = open_window(("camera.events",))
    rig.op.on_events(make.block(0))
    for name in (*NAMES[1:], NAMES[0]):
        rig.press(Qt.Key.Key_C)
        assert rig.window.views.events.colours == name
        assert _near(_rgb(rig.settle()), PALETTES[name].on, 6) > 2_000


def test_zoom_at_the_cursor_drag_and_reset(open_window, make) -> None:
    """The wheel keeps the pixel under the cursor, a drag moves, 0 fits again; pixels stay sharp."""
    from PySide6.QtCore import QPoint, QPointF, Qt
    from PySide6.QtGui import QWheelEvent
    from PySide6.QtTest import QTest

    rig = open_window(("camera.events",))
    rig.op.on_events(make.block(0))
    rig.settle()
    view = rig.window.views.events
    at = QPointF(view.width() / 2 + 90, view.height() / 2 - 40)
    before, fitted = view.to_picture(at), view.scale()
    turn = QWheelEvent(
        at,
        view.mapToGlobal(at),
        QPoint(),
        QPoint(0, 480),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    view.wheelEvent(turn)
    after = view.to_picture(at)
    assert view.scale() == pytest.approx(fitted * 1.25**4)
    assert (after.x(), after.y()) == (pytest.approx(before.x(), abs=0.01), pytest.approx(before.y(), abs=0.01))
    point = at.toPoint()
    QTest.mousePress(view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, point)
    QTest.mouseMove(view, point + QPoint(60, 0))
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, point + QPoint(60, 0))
    assert view.to_picture(at).x() == pytest.approx(before.x() - 60 / view.scale(), abs=0.1)
    colours = np.unique(_rgb(view.grab().toImage())[100:140, 100:140].reshape(-1, 3), axis=0)
    assert len(colours) <= 4  # background, grid, full colour: nothing blended
    rig.press(Qt.Key.Key_0)
    assert view.scale() == fitted


def test_pixel_under_the_mouse(open_window, make) -> None:
    """Column, row and state of the pixel below the cursor."""
    from PySide6.QtCore import QPointF

    rig = open_window(("camera.events",))
    rig.op.on_events(make.block(0))
    rig.settle()
    view = rig.window.views.events
    target, scale = view.target(), view.scale()
    without = _rgb(view.grab().toImage())
    view.hover = QPointF(target.left() + 12.5 * scale, target.top() + 15.5 * scale)
    assert view.pixel() == (12, 15)
    assert (_rgb(view.grab().toImage()) != without).any()
    view.hover = QPointF(target.left() - 2, target.top())
    assert view.pixel() is None


def test_screenshot_key(open_window, make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S writes numbered files into the working directory, shows their names and never replaces one."""
    from PySide6.QtCore import Qt
    from PySide6.QtGui import QImage

    monkeypatch.chdir(tmp_path)
    (tmp_path / "evpipe-demo-2.png").write_bytes(b"mine")
    rig = open_window(("camera.events",))
    rig.op.on_events(make.block(0))
    rig.settle()
    rig.press(Qt.Key.Key_S)
    rig.window.finish_screenshots()
    rig.press(Qt.Key.Key_S)
    rig.window.finish_screenshots()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"evpipe-demo-{n}.png" for n in (1, 2, 3)]
    assert (tmp_path / "evpipe-demo-2.png").read_bytes() == b"mine"
    picture = _rgb(QImage(str(tmp_path / "evpipe-demo-1.png")))
    assert picture.shape[:2] == (800, 1280)
    assert _near(picture, ON) > 2_000
    rig.settle()
    assert rig.window.toast.text == "saved evpipe-demo-3.png"


def test_screenshot_that_cannot_be_written_is_said(
    open_window, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The window goes on and says why there is no file."""
    from PySide6.QtCore import Qt

    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    rig = open_window(("camera.events",))
    gone.rmdir()
    monkeypatch.setattr(Path, "cwd", lambda: gone)
    rig.press(Qt.Key.Key_S)
    rig.window.finish_screenshots()
    rig.settle()
    assert rig.window.toast.text.startswith("no screenshot: No such file")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("screenshot_us", [0, 50_000])
def test_screenshot_by_parameter(open_window, make, tmp_path: Path, screenshot_us: int) -> None:
    """Written at the end, or once the sensor time has passed, without a key."""
    path = tmp_path / "shot.png"
    rig = open_window(("camera.events",), screenshot=str(path), screenshot_us=screenshot_us)

    def reader() -> None:
        for i in range(20):
            rig.op.on_events(make.block(i * 10_000))
            time.sleep(0.01)
        rig.op.on_end()
        rig.op.leave_main_loop()

    thread = threading.Thread(target=reader)
    thread.start()
    rig.op.main_loop()
    thread.join()
    rig.op.close()
    from PySide6.QtGui import QImage

    assert _near(_rgb(QImage(str(path))), ON) > 2_000


def test_screenshot_by_parameter_that_fails_is_an_error(open_window, tmp_path: Path) -> None:
    """Closing the operator names the path and what to do."""
    path = tmp_path / "nowhere" / "shot.png"
    rig = open_window(("camera.events",), screenshot=str(path))
    rig.op.leave_main_loop()
    rig.op.main_loop()
    with pytest.raises(NodeError, match=r"nowhere.*could not be written.*folder that exists"):
        rig.op.close()


@pytest.mark.parametrize("how", ["close", "key"])
def test_closing_stops_the_run_once(open_window, how: str) -> None:
    """The cross and Q ask for an orderly end; the loop goes on until the runtime ends it."""
    from PySide6.QtCore import Qt

    rig = open_window()
    if how == "close":
        rig.window.close()
    else:
        rig.press(Qt.Key.Key_Q)
    rig.window.close()
    assert rig.context.stops == 1
    thread = threading.Timer(0.1, rig.op.leave_main_loop)
    started = time.monotonic()
    thread.start()
    rig.op.main_loop()
    thread.join()
    assert time.monotonic() - started >= 0.1
    rig.op.close()
    assert rig.context.stops == 1


def test_the_end_of_a_run_asks_nobody_to_stop(open_window) -> None:
    """Closing the operator is not a person's wish."""
    rig = open_window()
    rig.op.close()
    assert rig.context.stops == 0


def test_key_list_and_full_screen(open_window) -> None:
    """F1 and ? show every key that works; Escape closes; F goes full screen and back."""
    from PySide6.QtCore import Qt

    from evpipe.view.key_list import KEYS

    rig = open_window()
    for key in (Qt.Key.Key_F1, Qt.Key.Key_Question):
        rig.press(key)
        assert rig.window.key_list.isVisible()
        rig.settle()
        rig.press(Qt.Key.Key_Escape)
        assert not rig.window.key_list.isVisible()
    for _, _, _, method in KEYS:
        assert callable(getattr(rig.window, method))
    rig.press(Qt.Key.Key_F)
    assert rig.window.isFullScreen()
    rig.press(Qt.Key.Key_Escape)
    assert not rig.window.isFullScreen()


def test_scores_and_attention_are_painted(open_window, make) -> None:
    """The best class has the strong bar; steps that did not enter are hollow; no score says none."""
    rig = open_window()
    rig.op.on_events(make.block(0))
    rig.op.on_tensor(make.tensor(500_000))
    rig.op.on_scores(make.scores(500_000))
    for _ in range(3):
        rig.settle()
    bars = _rgb(rig.window.views.scores.grab().toImage())
    tops = np.flatnonzero((np.abs(bars.astype(int) - (90, 169, 255)).max(axis=2) < 10).sum(axis=1) > 60)
    middle = 54 + 38 * 1.5  # below the name of the best, "waving" is the second row
    assert abs(np.median(tops) - middle) < 5
    steps = _rgb(rig.window.views.tensor.grab().toImage())
    amber = (np.abs(steps.astype(int) - (245, 176, 65)).max(axis=2) < 12).sum(axis=0)
    quarter = len(amber) // 4
    assert amber[3 * quarter :].sum() > 1_000
    assert amber[:quarter].sum() == 0
    rig.op.on_scores(make.scores(560_000, (0.0, 0.0, 0.0)))
    rig.settle()
    assert rig.window.views.scores._scores.best == ("none", 0.0)


def test_bars_move_quickly(open_window, make) -> None:
    """A new score is shown within a third of a second."""
    rig = open_window()
    rig.op.on_scores(make.scores(500_000, (1.0, 0.0, 0.0)))
    rig.settle()
    rig.op.on_scores(make.scores(560_000, (0.0, 1.0, 0.0)))
    views = rig.window.views
    for _ in range(10):
        views.show_newest(rig.op._board.take(), rig.op._board.take(), 0.0, 33.0)
    assert views.scores._seen[1] > 0.97
    assert views.scores._seen[0] < 0.03


def test_more_classes_than_fit(open_window, make) -> None:
    """A hundred classes: the highest are shown and nothing overflows."""
    from evpipe.packets import Scores

    rig = open_window()
    values = np.linspace(0, 0.9, 100, dtype=np.float32)
    none = np.zeros(0, np.float32)
    labels = tuple(f"a class with a rather long name {i}" for i in range(100))
    rig.op.on_scores(Scores(t0_us=0, t1_us=1, labels=labels, values=values, attention=none, kept=none.astype(bool)))
    assert rig.settle() is not None
    rig.op.on_scores(Scores(t0_us=0, t1_us=1, labels=(), values=none, attention=none, kept=none.astype(bool)))
    assert rig.settle() is not None


def test_boxes_are_painted_and_go(open_window, make) -> None:
    """A box stands where its sensor pixels are; half a second without boxes leaves none."""
    rig = open_window(("camera.events", "detector.boxes"))
    rig.op.on_events(make.block(0))
    rig.op.on_boxes(make.boxes(10_000))
    rig.settle()
    view = rig.window.views.events
    picture = _rgb(view.grab().toImage())
    target, scale = view.target(), view.scale()
    x, y = round(target.left() + 5 * scale), round(target.top() + 16 * scale)
    assert _near(picture[y - 3 : y + 3, x - 2 : x + 3], PERSON) >= 6
    rig.op.on_events(make.events(10_000, [], 900_000))
    rig.settle()
    assert _near(_rgb(view.grab().toImage()), PERSON) == 0


def test_losses_and_age_are_shown(open_window, make) -> None:
    """The strip names the edge that dropped, and how old the picture is."""
    rig = open_window(("camera.events", "bins.tensor"))
    rig.context.states = [InputState("camera.events", 90, 12, 41.0), InputState("bins.tensor", 9, 0, 80.0)]
    rig.op.on_events(make.block(0))
    rig.window._figures_at = 0.0
    rig.settle()
    figures = {figure.name: figure for figure in rig.window.strip.figures}
    assert figures["Dropped packets"].value == "12  (camera.events 12)"
    assert figures["Dropped packets"].alarm
    assert figures["Age of picture"].value == "41 ms"
    assert "camera.events: 90 received, 12 dropped" in rig.window.strip.toolTip()


@pytest.mark.parametrize(
    "origins",
    [
        ("camera.events",),
        ("camera.frame",),
        ("har.scores",),
        ("camera.events", "bins.tensor"),
        ("camera.events", "camera.frame", "bins.tensor", "har.scores", "detector.boxes"),
        (),
        ("camera.left",),
    ],
)
@pytest.mark.parametrize("size", [(860, 580), (1920, 1080)])
def test_layouts(open_window, make, origins: tuple[str, ...], size: tuple[int, int]) -> None:
    """Views follow what is wired and what comes, at small and large sizes."""
    rig = open_window(origins)
    rig.window.resize(*size)
    rig.settle()
    ports = {origin.rpartition(".")[2] for origin in origins}
    views = rig.window.views
    for name in ("events", "frame", "scores", "tensor"):
        wanted = name in ports or (name == "events" and (not ports & {"frame", "scores", "tensor"}))
        assert getattr(views, name).isVisible() == wanted, name
    rig.op.on_scores(make.scores(500_000, steps=0))
    rig.op.on_tensor(make.tensor(500_000))
    rig.settle()
    assert views.scores.isVisible()
    assert views.tensor.isVisible()


def test_scale_parameter(open_window, make) -> None:
    """The first picture has so many screen pixels a sensor pixel."""
    rig = open_window(("camera.events",), scale=20.0)
    rig.op.on_events(make.block(0))
    rig.settle()
    assert rig.window.views.events.scale() == pytest.approx(20.0)


@pytest.mark.parametrize("where", ["show_newest", "paint"])
def test_a_fault_of_a_view_ends_the_loop_with_it(open_window, make, monkeypatch, where: str) -> None:
    """Qt would print it at each paint, for ever; the run gets it once, and no painter is left open."""
    rig = open_window()

    def broken(*_: object) -> None:
        raise ZeroDivisionError("painted badly")

    target = rig.window.views if where == "show_newest" else rig.window.strip
    monkeypatch.setattr(target, where, broken)
    rig.window.strip.update()
    with pytest.raises(ZeroDivisionError, match="painted badly"):
        rig.op.main_loop()
    monkeypatch.undo()
    rig.op.on_events(make.block(0))
    assert rig.settle() is not None

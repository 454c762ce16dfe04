"""Windows without a screen: pictures, keys, closing, and errors in words."""

import subprocess
import sys

import numpy as np
import pytest

from sensors.metavision.sdk_ui import BaseWindow, EventLoop, MTWindow, UIAction, UIKeyEvent, Window

pytest.importorskip("PySide6")


def test_codes_of_keys_are_those_of_glfw() -> None:
    assert (UIKeyEvent.KEY_A, UIKeyEvent.KEY_Q, UIKeyEvent.KEY_0, UIKeyEvent.KEY_ESCAPE) == (65, 81, 48, 256)
    assert (UIAction.RELEASE, UIAction.PRESS, UIAction.REPEAT) == (0, 1, 2)


@pytest.mark.parametrize("kind", [Window, MTWindow])
def test_a_window_shows_hears_and_closes(kind) -> None:
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    keys = []
    with kind(title="events", width=64, height=48, mode=BaseWindow.RenderMode.BGR) as window:
        assert window.get_size() == (64, 48)
        window.set_keyboard_callback(lambda key, scancode, action, mods: keys.append((key, action)))
        image = np.zeros((48, 64, 3), np.uint8)
        image[:, :32] = (255, 0, 0)
        (window.show if kind is Window else window.show_async)(image)
        image[:] = 0
        EventLoop.poll_and_dispatch()
        shown = window._pane.grab().toImage()
        assert shown.pixelColor(4, 4).getRgb()[:3] == (0, 0, 255)
        assert shown.pixelColor(60, 4).getRgb()[:3] == (0, 0, 0)
        QTest.keyClick(window._pane, Qt.Key.Key_Q)
        QTest.keyClick(window._pane, Qt.Key.Key_Escape)
        EventLoop.poll_and_dispatch(1)
        assert not window.should_close()
        window._pane.close()
        assert window.should_close()
    assert keys == [(81, 1), (81, 0), (256, 1), (256, 0)]


def test_wrong_pictures_and_closed_windows_are_refused() -> None:
    window = MTWindow("a", 8, 8, BaseWindow.RenderMode.GRAY)
    with pytest.raises(RuntimeError, match=r"^The window must be open to call the show method"):
        window.show_async(np.zeros((8, 8), np.uint8))
    with window:
        with pytest.raises(ValueError, match=r"^Incompatible input map's dimensions number: GRAY takes \[H, W\]"):
            window.show_async(np.zeros((8, 8, 3), np.uint8))
        with pytest.raises(ValueError, match="takes uint8, not float64"):
            window.show_async(np.zeros((8, 8)))
        window.show_async(np.zeros((8, 8), np.uint8))
        assert not window.should_close()
        window.set_close_flag()
        assert window.should_close()
    direct = Window("b", 8, 8, open_directly=True)
    direct.show(np.zeros((8, 8, 3), np.uint8))
    direct.destroy()


def test_without_a_display_it_says_so(monkeypatch) -> None:
    """Qt itself would end the process."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    code = "from sensors.metavision.sdk_ui import Window\nwith Window('a', 8, 8): pass"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "RuntimeError: no display: neither DISPLAY nor WAYLAND_DISPLAY is set" in done.stderr

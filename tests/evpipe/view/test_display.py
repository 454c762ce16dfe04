"""Whether a window can be shown, asked without Qt."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from evpipe.view.display import display_missing

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the question is Linux's")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_no_display(bare: pytest.MonkeyPatch) -> None:
    """The reason names the variables and the way on."""
    reason = display_missing()
    assert reason is not None
    assert "DISPLAY" in reason
    assert "--headless" in reason


def test_offscreen_needs_none(bare: pytest.MonkeyPatch) -> None:
    """A platform without a screen is what a test or a screenshot asks for."""
    bare.setenv("QT_QPA_PLATFORM", "offscreen")
    assert display_missing() is None


@pytest.mark.parametrize("display", [":4711", "unix:4711.0", "localhost:59.0"])
def test_display_where_nobody_answers(bare: pytest.MonkeyPatch, display: str) -> None:
    """Qt would abort the process; the reason names the display."""
    bare.setenv("DISPLAY", display)
    reason = display_missing()
    assert reason is not None
    assert display in reason


def test_wayland_that_answers(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A compositor listens: a window can be shown."""
    bare.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    bare.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert display_missing() is not None
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "wayland-0"))
        server.listen()
        assert display_missing() is None


def test_importing_the_package_loads_nothing_heavy() -> None:
    """`evpipe check` reads the signature of Window in a blink."""
    code = (
        "import sys, evpipe.view; from evpipe.operator import spec_of; spec_of(evpipe.view.Window);"
        "print(sorted({'PySide6', 'shiboken6', 'pyqtgraph', 'cv2', 'numba', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_signature() -> None:
    """The graph sees six inputs, no outputs, and parameters with units."""
    from evpipe.operator import spec_of
    from evpipe.view import Window

    spec = spec_of(Window)
    assert list(spec.inputs) == ["events", "frame", "frame_pair", "tensor", "scores", "boxes"]
    assert spec.outputs == {}
    assert spec.params["accumulate_us"].meta.unit == "us"
    assert (spec.trait("main_thread"), spec.trait("ordered"), spec.trait("sink")) == (True, False, "window")

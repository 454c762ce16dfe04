"""Can a window be shown here? Answered without loading Qt, which ends the whole process when its display is missing."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import socket
import sys

LIBRARIES = "apt-get install libgl1 libegl1 libxkbcommon0 libglib2.0-0 libfreetype6 libfontconfig1 libdbus-1-3"
_WITHOUT_SCREEN = ("offscreen", "minimal", "vnc", "linuxfb", "eglfs")


def display_missing() -> str | None:
    """Why no window can be shown on this machine, with what to do about it; None when one can."""
    if importlib.util.find_spec("PySide6") is None:
        return "PySide6 is not installed; pip install PySide6-Essentials"
    if not sys.platform.startswith("linux"):
        return None
    platform = os.environ.get("QT_QPA_PLATFORM", "").split(":")[0]
    if platform in _WITHOUT_SCREEN:
        return None
    wayland = os.environ.get("WAYLAND_DISPLAY", "")
    if wayland and platform in ("", "wayland"):
        path = os.path.join(os.environ.get("XDG_RUNTIME_DIR", ""), wayland)
        return None if _answers_unix(path) else _x_missing()
    return _x_missing()


def _x_missing() -> str | None:
    """Why no window can be shown on X11, asked before Qt is: without a server or a library, Qt aborts."""
    display = os.environ.get("DISPLAY", "")
    if not display:
        return "no display: neither DISPLAY nor WAYLAND_DISPLAY is set; use ssh -X, a desktop session, or --headless"
    if not _x_server_answers(display):
        return f"no display: DISPLAY={display}, but no X server answers there; correct DISPLAY or use --headless"
    try:
        ctypes.CDLL("libxcb-cursor.so.0")
    except OSError:
        return "Qt cannot open an X11 window without libxcb-cursor; apt-get install libxcb-cursor0"
    return None


def _x_server_answers(display: str) -> bool:
    """Whether something listens at `host:number.screen`. An unreadable DISPLAY is left to Qt to judge."""
    host, _, rest = display.rpartition(":")
    number = rest.split(".")[0]
    if not number.isdigit():
        return True
    if host in ("", "unix"):
        path = f"/tmp/.X11-unix/X{number}"  # noqa: S108 - the address that X11 fixes
        return _answers_unix("\0" + path) or _answers_unix(path)
    try:
        socket.create_connection((host.strip("[]"), 6000 + int(number)), timeout=2).close()
    except OSError:
        return False
    return True


def _answers_unix(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True

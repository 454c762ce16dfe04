"""`evpipe view`: what it hands to `evpipe run`, and real windows, shown nowhere."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from evpipe.cli import run as run_command
from evpipe.cli import view
from evpipe.cli.main import _add_common
from evpipe.errors import InputError, UsageError
from evpipe.view.display import LIBRARIES
from evpipe.view.palettes import NAMES, PALETTES

W, H = 64, 48
CALL = """
import argparse, sys
from evpipe.cli import view
from evpipe.cli.main import _add_common
from evpipe.errors import EvpipeError
if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    view.add_arguments(parser)
    _add_common(parser)
    try:
        sys.exit(view.run(parser.parse_args(sys.argv[1:])))
    except EvpipeError as error:
        print(f"evpipe: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
"""


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    view.add_arguments(parser)
    _add_common(parser)
    return parser.parse_args(words)


@pytest.fixture
def clip(tmp_path) -> Path:
    """A second in which a block of 20 x 10 pixels turns brighter again and again."""
    rows = [(t, x, y, 1) for t in range(0, 1_000_000, 10_000) for y in range(10, 20) for x in range(10, 30)]
    path = tmp_path / "a=b c.csv"
    np.savetxt(path, np.array(rows), "%d", ",", header="t,x,y,p", comments="")
    return path


def process(*words: object, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CALL, *map(str, words)]
    env = os.environ | {"QT_QPA_PLATFORM": "offscreen"} | environment
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def ended(started: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and what was said; skips where Qt lacks its libraries."""
    _, err = started.communicate(timeout=60)
    if "Qt does not load" in err:
        pytest.skip(f"Qt does not load; {LIBRARIES}")
    return started.returncode, err


def test_options_are_those_of_run():
    """Everything is handed on in run's own words; what was not asked for is run's default."""
    args = parsed("a=b.raw", "--from", "2s", "--to", "3s", "--rate", "0.5", "--palette", "light", "--accumulate", "5ms")
    chosen = view.options(args, "a=b.raw")
    assert (chosen.app, chosen.replay) == ("view_file", ["camera=a=b.raw"])
    assert (chosen.from_, chosen.to, chosen.rate, chosen.at_end) == ("2s", "3s", 0.5, "pause")
    assert chosen.set_ == ["window.palette=light", "window.accumulate=5ms"]
    parser = argparse.ArgumentParser()
    run_command.add_arguments(parser)
    plain = vars(parser.parse_args(["view_file", "--replay", "camera=a.raw"]))
    assert {name: vars(view.options(parsed("a.raw"), "a.raw"))[name] for name in plain if name != "at_end"} == {
        name: value for name, value in plain.items() if name != "at_end"
    }


def test_the_end_is_held_looped_or_the_end():
    """A window stays when the recording is over, begins anew with --loop, and a screenshot ends."""
    ends = [
        view.options(parsed("a.raw", *more), "a.raw").at_end for more in ([], ["--loop"], ["--screenshot", "a.png"])
    ]
    assert ends == ["pause", "loop", "stop"]


def test_the_app_has_the_nodes_that_are_set():
    """`view_file` has a source `camera` and a window `window`."""
    from evpipe.graph.load import load_graph

    nodes = {node.id: node.spec.trait("sink", "") for node in load_graph(view.APP).nodes}
    assert nodes[view.WINDOW] == "window"
    assert view.SOURCE in nodes


def test_palettes_are_those_of_the_window():
    assert view.PALETTES == NAMES


def test_screenshot_of_a_moment(clip, tmp_path):
    """A picture of the window at that time in the palette asked for, without a display, the same events each time."""
    pictures = []
    for name in ("a: 1.png", "b.png"):
        shot = tmp_path / name
        code, err = ended(
            process(clip, "--screenshot", shot, "--at", "505ms", "--palette", "light", QT_QPA_PLATFORM="x")
        )
        assert code == 0, err
        pictures.append(cv2.imread(str(shot)))
    np.testing.assert_array_equal(*(picture[:740] for picture in pictures))  # below is the display's own rate
    light = (pictures[0] == PALETTES["light"].background[::-1]).all(axis=2)
    on = (pictures[0] == PALETTES["light"].on[::-1]).all(axis=2)
    assert light.sum() > 100_000
    assert on.sum() > 5_000


def test_a_window_stays_until_it_is_ended(clip):
    """It runs, and Ctrl-C ends it with code 130 and no traceback."""
    started = process(clip, "--loop")
    time.sleep(3)
    if started.poll() is None:
        started.send_signal(signal.SIGINT)
    code, err = ended(started)
    assert "Traceback" not in err
    assert code == 130, err


def test_a_damaged_recording_has_runs_exit_code(tmp_path):
    """3 for a file that cannot be read, named in one line."""
    path = tmp_path / "bad.aedat4"
    path.write_bytes(b"#!AER-DAT4.0\r\nxx")
    code, err = ended(process(path, "--screenshot", tmp_path / "a.png"))
    assert code == InputError.exit_code
    assert "bad.aedat4" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "error", "text"),
    [
        (["none.raw"], InputError, "none.raw: there is no such file; give the path of a recording"),
        (["."], InputError, ".: is a folder"),
        (["CLIP", "--at", "1s"], UsageError, "--at 1s is the moment of --screenshot"),
        (["CLIP", "CLIP", "--screenshot", "a.png"], UsageError, "--screenshot takes one FILE"),
        (["CLIP", "--loop", "--screenshot", "a.png"], UsageError, "--screenshot takes one FILE, and no --loop"),
        (["CLIP", "--screenshot", "none/a.png"], UsageError, "there is no folder none; make it"),
    ],
)
def test_mistakes_are_told_before_a_window_opens(clip, tmp_path, monkeypatch, words, error, text):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as told:
        view.run(parsed(*(str(clip) if word == "CLIP" else word for word in words)))
    assert text in str(told.value)


def test_without_a_display_render_is_named(clip, monkeypatch):
    """No window can be shown: why, and what else there is."""
    for name in ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match=r"no window can be shown: no display.*evpipe render"):
        view.run(parsed(str(clip)))


def test_several_files_follow_each_other(clip, tmp_path, monkeypatch):
    """Each is run in turn; the first code that is not 0 is the command's, and an interrupt ends the row."""
    other = tmp_path / "other.csv"
    other.write_bytes(clip.read_bytes())
    seen, codes = [], [3, 0, 130, 0]
    monkeypatch.setattr(run_command, "run", lambda args: seen.append(args.replay) or codes[len(seen) - 1])
    assert view.run(parsed(str(clip), str(other))) == 3
    assert seen == [[f"camera={clip}"], [f"camera={other}"]]
    assert view.run(parsed(str(clip), str(other))) == 130
    assert len(seen) == 3

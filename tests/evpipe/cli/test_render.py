"""`evpipe render` as a person types it, from real files to real videos."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from evpipe.cli import render
from evpipe.cli.main import _add_common
from evpipe.cli.rendering.caption import ITEMS
from evpipe.cli.rendering.event_pictures import Mode
from evpipe.errors import InputError, UsageError
from evpipe.view.palettes import NAMES, PALETTES

W, H = 64, 48
CALL = """
import argparse, sys
from evpipe.cli import render
from evpipe.cli.main import _add_common
from evpipe.errors import EvpipeError
parser = argparse.ArgumentParser()
render.add_arguments(parser)
_add_common(parser)
try:
    sys.exit(render.run(parser.parse_args(sys.argv[1:])))
except EvpipeError as error:
    print(f"evpipe: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
except KeyboardInterrupt:
    sys.exit(130)
"""


def call(*words) -> int:
    """The exit code, or the error that `evpipe` would tell."""
    parser = argparse.ArgumentParser()
    render.add_arguments(parser)
    _add_common(parser)
    return render.run(parser.parse_args([str(word) for word in words]))


def square(t_us: int) -> tuple[int, int]:
    """Left and top of a square of 8 px that moves to the right by 40 px a second."""
    return 4 + t_us * 40 // 1_000_000, 20


def events(seconds: float) -> tuple[np.ndarray, ...]:
    """An ON event at each of its right, an OFF event at each of its left pixels every 5 ms."""
    rows = []
    for t in range(0, int(seconds * 1e6), 5_000):
        left, top = square(t)
        rows += [(t, left + 7, top + k, 1) for k in range(8)] + [(t, left, top + k, 0) for k in range(8)]
    t, x, y, p = np.array(rows, np.int64).T
    return t + 7_000_000, x.astype(np.uint16), y.astype(np.uint16), p.astype(np.uint8)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """A second of the moving square."""
    path = tmp_path_factory.mktemp("clip") / "clip.csv"
    np.savetxt(path, np.stack(events(1.0), axis=1), "%d", ",", header="t,x,y,p", comments="")
    return path


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


SMALL = ("--size", f"{H}x{W}", "--overlay", "none", "-q")


def frames_of(path: Path) -> list[np.ndarray]:
    video = cv2.VideoCapture(str(path))
    frames = []
    while (read := video.read())[0]:
        frames.append(read[1])
    return frames


def is_colour(picture, colour):
    return np.abs(picture.astype(int) - colour[::-1]).max(axis=2) < 40


def test_without_options_a_video_is_made_here(clip, here):
    """30 pictures of a second, as large as fits, named after the recording; the square's front is in its place."""
    assert call(clip, *SMALL) == 0
    assert os.listdir(here) == ["clip.mp4"]
    frames = frames_of(here / "clip.mp4")
    assert (len(frames), frames[0].shape) == (30, (720, 960, 3))
    for k in (5, 15, 25):
        left, top = square((k + 1) * 33_333)
        column = 15 * (left + 7) + 7
        assert is_colour(frames[k], PALETTES["dark"].on)[15 * top + 7 : 15 * top + 110, column - 20 : column + 8].any()


@pytest.mark.parametrize(
    ("options", "n"),
    [((), 30), (("--slow", "10"), 299), (("--slow", "0.5"), 15), (("--fps", "60"), 60), (("--from", "500ms"), 15),
     (("--to", "200ms"), 6), (("--from", "500ms", "--to", "600ms", "--slow", "4"), 12)],
)  # fmt: skip
def test_time_options_choose_the_pictures(clip, here, options, n):
    """The film lasts as long as the recording, times the slow motion."""
    assert call(clip, "a.mp4", *SMALL, "--scale", "1", *options) == 0
    assert len(frames_of(here / "a.mp4")) in (n, n + 1)


def test_a_png_is_a_lively_moment_or_the_one_asked_for(clip, here):
    """--at 496ms shows the square there; without it the picture is not empty."""
    assert call(clip, "a.png", *SMALL, "--scale", "1", "--at", "496ms", "--accumulate", "5ms") == 0
    picture = cv2.imread("a.png")
    ys, xs = np.nonzero(is_colour(picture, PALETTES["dark"].on))
    left, top = square(495_000)
    assert (set(xs), set(ys)) == ({left + 7}, set(range(top, top + 8)))
    assert call(clip, "b.png", *SMALL, "--mode", "histogram") == 0
    assert (cv2.imread("b.png") != PALETTES["dark"].background[::-1]).any()


def test_a_folder_takes_numbered_pictures_of_one_recording(clip, here):
    """frames/ gets 000001.png and on; with --format it gets a file named after the recording."""
    assert call(clip, "frames/", *SMALL, "--scale", "1") == 0
    assert len(list((here / "frames").glob("0000??.png"))) in (30, 31)
    assert call(clip, "out/", *SMALL, "--scale", "1", "--format", "gif") == 0
    assert os.listdir(here / "out") == ["clip.gif"]


def test_several_recordings_go_into_a_folder(clip, here):
    """A file each, also for recordings of the same name."""
    (here / "in" / "b").mkdir(parents=True)
    for copy in ("in/clip.csv", "in/b/clip.csv"):
        (here / copy).write_bytes(clip.read_bytes())
    assert call("in/clip.csv", "in/b/clip.csv", "out/", *SMALL, "--scale", "1", "--to", "100ms") == 0
    assert sorted(os.listdir(here / "out")) == ["clip.mp4", "clip~2.mp4"]


@pytest.mark.parametrize("palette", NAMES)
@pytest.mark.parametrize("mode", render.MODES)
def test_modes_and_palettes(clip, here, mode, palette):
    """Each draws the square on the palette's background."""
    assert call(clip, "a.png", *SMALL, "--scale", "1", "--mode", mode, "--palette", palette, "--at", "900ms") == 0
    picture = cv2.imread("a.png")
    colours = PALETTES[palette]
    assert tuple(picture[0, 0, ::-1]) == colours.background
    assert (picture != colours.background[::-1]).any(axis=2)[20:28, 38:50].sum() >= 16


def test_crop_shows_where_events_are(clip, here):
    """Rows without events go; the square's way stays."""
    assert call(clip, "a.mp4", *SMALL, "--scale", "1", "--crop") == 0
    height, width, _ = frames_of(here / "a.mp4")[0].shape
    assert height == 10
    assert 46 <= width <= 52


def test_labels_are_drawn_unless_none(clip, here):
    """The same moment with and without differs in the lower left corner only."""
    assert call(clip, "a.png", *SMALL, "--at", "500ms") == 0
    assert call(clip, "b.png", "--size", f"{H}x{W}", "-q", "--at", "500ms", "--overlay", "time,rate,legend") == 0
    ys, xs = np.nonzero((cv2.imread("a.png") != cv2.imread("b.png")).any(axis=2))
    assert ys.min() > 600
    assert xs.min() < 30


def test_json_tells_what_was_made(clip, here, capsys):
    """One object a recording on stdout: pictures, size, events, durations, speed."""
    assert call(clip, "a.mp4", *SMALL, "--scale", "1", "--json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert (told["out"], told["width"], told["height"], told["events"], told["error"]) == ("a.mp4", W, H, 3200, "")
    assert told["pictures"] in (30, 31)
    assert told["pictures_per_s"] > 0


def test_bytes_are_the_same_each_time(clip, here):
    """No host time and no path gets into a file."""
    for suffix in (".mp4", ".gif"):
        for name in ("a", "b"):
            assert call(clip, f"{name}{suffix}", *SMALL, "--scale", "1", "--to", "200ms") == 0
        assert (here / f"a{suffix}").read_bytes() == (here / f"b{suffix}").read_bytes()


def test_what_is_there_is_not_replaced_unasked(clip, here):
    """A file and a folder with numbered pictures need --overwrite; the message says so, nothing is touched."""
    (here / "a.mp4").write_bytes(b"mine")
    (here / "f").mkdir()
    (here / "f" / "000001.png").write_bytes(b"mine")
    for out in ("a.mp4", "f/"):
        with pytest.raises(UsageError, match="is there already; --overwrite replaces it"):
            call(clip, out, *SMALL)
    assert (here / "a.mp4").read_bytes() == b"mine"
    assert call(clip, "a.mp4", *SMALL, "--overwrite", "--to", "100ms") == 0
    assert (here / "a.mp4").stat().st_size > 500


def test_of_a_damaged_recording_the_good_part_is_rendered(here, capsys):
    """Exit code 3, the byte of the damage, and a video that plays."""
    t, x, y, p = events(1.0)
    records = np.zeros(len(t), [("t", "<u4"), ("d", "<u4")])
    records["t"] = t
    records["d"] = x.astype(np.uint32) | y.astype(np.uint32) << 14 | p.astype(np.uint32) << 28
    header = b"% Data file containing CD events\n% Version 2\n% Width 64\n% Height 48\n"
    Path("cut.dat").write_bytes(header + bytes([0, 8]) + records.tobytes()[:-4])
    assert call("cut.dat", "a.mp4", "--overlay", "none") == 3
    assert len(frames_of(here / "a.mp4")) in (30, 31)
    assert "cut.dat: damaged at byte" in capsys.readouterr().err
    assert sorted(os.listdir(here)) == ["a.mp4", "cut.dat"]


def test_one_bad_recording_does_not_stop_the_others(clip, here, capsys):
    """Exit code 3, the good one is made, the bad one told."""
    Path("bad.raw").write_bytes(b"\x00" * 100)
    assert call("bad.raw", clip, "out/", *SMALL, "--scale", "1", "--to", "100ms", "--json") == 3
    out, err = capsys.readouterr()
    assert "bad.raw" in err
    assert sorted(bool(json.loads(line)["error"]) for line in out.splitlines()) == [False, True]
    assert os.listdir(here / "out") == ["clip.mp4"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["a.mp4"], "a.mp4: is what would be made, but of what"),
        (["CLIP", "none/a.mp4"], "there is no folder none; make it"),
        (["CLIP", "CLIP2", "a.mp4"], "a.mp4 takes one recording, and 2 are named; give a folder/"),
        (["CLIP", "a.gif", "--fps", "60"], "--fps 60: a GIF shows 50 pictures a second at most"),
        (["CLIP", "--slow", "0"], "--slow 0: expected a number above 0"),
        (["CLIP", "--fps", "nan"], "--fps nan: expected a number above 0"),
        (["CLIP", "--scale", "1.5"], "--scale 1.5: expected a whole number up to 64, or 1/2"),
        (["CLIP", "--scale", "1/0"], "--scale 1/0: expected a whole number"),
        (["CLIP", "--overlay", "time,rat"], "--overlay 'rat': expected some of time, rate, speed, legend, or none"),
        (["CLIP", "--from", "2s", "--to", "1s"], "--to 1s is not later than --from 2s"),
        (["CLIP", "--from", "20s"], "nothing lies between --from and --to"),
        (["CLIP", "--at", "1s"], "--at 1s is the moment of a single .png"),
        (["CLIP", "a.png", "--at", "20s"], "--at 20: "),
        (["CLIP", "a.png", "--format", "mp4"], "a.png is no mp4; leave --format out"),
        (["CLIP", "--size", "big"], "--size big: give rows x columns"),
        (["CLIP", "--accumulate", "0"], "--accumulate 0: expected a span of time such as 20ms"),
    ],
)
def test_a_wrong_command_is_told_before_anything_is_made(clip, here, words, text):
    """UsageError with the option, the value, and what to give instead."""
    (here / "clip2.csv").write_bytes(clip.read_bytes())
    named = {"CLIP": str(clip), "CLIP2": "clip2.csv"}
    with pytest.raises(UsageError) as told:
        call(*(named.get(word, word) for word in words))
    assert text in str(told.value)
    assert os.listdir(here) == ["clip2.csv"]


def test_a_recording_that_is_not_there(here):
    with pytest.raises(InputError, match=r"none\.raw: names no file"):
        call("none.raw")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_leaves_nothing_behind(here, number, code):
    """Ctrl-C and SIGTERM in the middle: no file, no part, an older output untouched, at once."""
    t, x, y, p = events(1.3)
    long = {"t": np.concatenate([t + k * 1_300_000 for k in range(60)])}
    np.savez("long.npz", **long, **{name: np.tile(column, 60) for name, column in zip("xyp", (x, y, p), strict=True)})
    (here / "a.mp4").write_bytes(b"older")
    command = [sys.executable, "-c", CALL, "long.npz", "a.mp4", "--overwrite", "--slow", "20", "--size", f"{H}x{W}"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (here / ".a.part.mp4").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(number)
    _, err = process.communicate(timeout=10)
    assert process.returncode == code
    assert "Traceback" not in err
    assert sorted(os.listdir(here)) == ["a.mp4", "long.npz"]
    assert (here / "a.mp4").read_bytes() == b"older"


def test_progress_and_speed_are_told_on_stderr(clip, here, capsys):
    """A line at the end with pictures, size and speed; with -q none."""
    assert call(clip, "a.mp4", "--size", f"{H}x{W}", "--to", "100ms") == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "a.mp4: 3 pictures of 960 x 720, made" in err.splitlines()[-1] or "4 pictures" in err
    assert call(clip, "b.mp4", "--size", f"{H}x{W}", "--to", "100ms", "-q") == 0
    assert capsys.readouterr() == ("", "")


def test_help_names_what_there_is_and_loads_nothing_heavy():
    """The names written in the command are those of the modules that it does not load for help."""
    assert render.PALETTES == NAMES
    assert render.OVERLAYS == ITEMS
    assert set(render.MODES) == set(Mode.__args__)
    code = (
        "import argparse, sys; from evpipe.cli import render; render.add_arguments(argparse.ArgumentParser());"
        "print(sorted({'numpy', 'cv2', 'PIL', 'numba', 'torch', 'PySide6', 'matplotlib'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_frames_lie_beneath_events_of_a_real_recording(shared, here):
    """A DAVIS recording: where no event is, its frame is seen; without --frames the background is."""
    davis = shared / "data/faery_sdist/davis346.aedat4"
    for name, options in (("with.png", ["--frames"]), ("without.png", [])):
        assert call(davis, name, "-q", "--overlay", "none", "--at", "1s", *options) == 0
    beneath, alone = cv2.imread("with.png"), cv2.imread("without.png")
    assert beneath.shape == alone.shape == (520, 692, 3)
    empty = (alone == PALETTES["dark"].background[::-1]).all(axis=2)
    assert empty.mean() > 0.9
    assert beneath[empty].std() > 20


@pytest.mark.parametrize("name", ["dv_processing_tests/test-frame.aedat4", "faery_sdist/dvs.es"])
def test_a_recording_of_one_kind_alone(shared, here, name):
    """Frames without events, and events without frames, both make a video with something in it."""
    assert call(shared / "data" / name, "a.mp4", "-q", "--to", "300ms") == 0
    assert max(frame.std() for frame in frames_of(here / "a.mp4")) > 10


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length(here):
    """A film of 5,000 pictures takes at most 40 MB more than one of 100, as the peak of the process."""
    peaks = []
    code = CALL.replace("sys.exit(render.run(", "code = (render.run(", 1).replace(
        "except EvpipeError",
        "    import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\nexcept EvpipeError",
        1,
    )
    t, x, y, p = events(1.3)
    tiled = {name: np.tile(column, 130) for name, column in zip("xyp", (x, y, p), strict=True)}
    np.savez("long.npz", t=np.concatenate([t + k * 1_300_000 for k in range(130)]), **tiled)
    for to in ("3.3s", "167s"):
        command = [sys.executable, "-c", code, "long.npz", "a.mp4", "--overwrite", "-q", "--to", to, "--scale", "4"]
        done = subprocess.run([*command, "--size", f"{H}x{W}"], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] - peaks[0] < 40

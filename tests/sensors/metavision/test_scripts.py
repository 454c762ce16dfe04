"""Two scripts as users of OpenEB write them run as processes, unchanged but for their imports."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from sensors.formats.detect import open_reader

# What a user replaces.
IMPORTS = {
    "metavision_core.event_io": "sensors.metavision.event_io",
    "metavision_sdk_core": "sensors.metavision.sdk_core",
    "metavision_sdk_ui": "sensors.metavision.sdk_ui",
}

VIEWER = """
import sys
import numpy as np
from metavision_core.event_io import EventsIterator, LiveReplayEventsIterator, is_live_camera
from metavision_sdk_core import PeriodicFrameGenerationAlgorithm, RoiFilterAlgorithm, ColorPalette
from metavision_sdk_ui import EventLoop, BaseWindow, MTWindow, UIAction, UIKeyEvent

source = sys.argv[1] if len(sys.argv) > 1 else ""
factor = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
stream = EventsIterator(input_path=source, delta_t=5000)
rows, cols = stream.get_size()
if not is_live_camera(source):
    stream = LiveReplayEventsIterator(stream, replay_factor=factor)

crop = RoiFilterAlgorithm(x0=cols // 4, y0=rows // 4, x1=3 * cols // 4, y1=3 * rows // 4)
cropped = crop.get_empty_output_buffer()
colours = ColorPalette.CoolWarm
painter = PeriodicFrameGenerationAlgorithm(cols, rows, accumulation_time_us=20000, fps=30, palette=colours)
state = {"crop": False}
stamps, lit = [], []

with MTWindow(title="events", width=cols, height=rows, mode=BaseWindow.RenderMode.BGR) as window:
    def on_key(key, scancode, action, mods):
        if action != UIAction.RELEASE:
            return
        if key in (UIKeyEvent.KEY_Q, UIKeyEvent.KEY_ESCAPE):
            window.set_close_flag()
        elif key == UIKeyEvent.KEY_C:
            state["crop"] = not state["crop"]

    def on_frame(ts, image):
        stamps.append(ts)
        lit.append(np.count_nonzero(image[:, :, 0] != 237))
        window.show_async(image)

    window.set_keyboard_callback(on_key)
    painter.set_output_callback(on_frame)
    for events in stream:
        EventLoop.poll_and_dispatch()
        if state["crop"]:
            crop.process_events(events, cropped)
            painter.process_events(cropped)
        else:
            painter.process_events(events)
        if window.should_close():
            break
print("frames", len(stamps), stamps[0], stamps[-1], sum(lit))
"""

RATES = """
import argparse
import numpy as np
from metavision_core.event_io import RawReader

parser = argparse.ArgumentParser()
parser.add_argument("raw")
parser.add_argument("--bin-us", type=int, default=100_000)
parser.add_argument("--skip-us", type=int, default=0)
options = parser.parse_args()

reader = RawReader(options.raw, max_events=20_000_000)
height, width = reader.get_size()
if options.skip_us:
    reader.seek_time(options.skip_us)
heat = np.zeros((height, width), dtype=np.uint32)
table = []
while not reader.is_done():
    left = reader.current_time
    chunk = reader.load_delta_t(options.bin_us)
    table.append((left, chunk.size, int(np.count_nonzero(chunk["p"]))))
    if chunk.size:
        assert left <= chunk["t"][0] and chunk["t"][-1] < reader.current_time
        np.add.at(heat, (chunk["y"], chunk["x"]), 1)
for left, n, on in table:
    print(f"{left} {n} {on}")
trigger = reader.get_ext_trigger_events()
rising = trigger["t"][trigger["p"] == 1]
print("triggers", len(trigger), "period", np.diff(rising).mean() if rising.size > 1 else None)
print("hottest", *np.unravel_index(int(heat.argmax()), heat.shape))
"""


def run(tmp_path, script, *words):
    """Run a script with its imports replaced; its process's end."""
    for old, new in IMPORTS.items():
        script = re.sub(rf"^from {re.escape(old)} import", f"from {new} import", script, flags=re.M)
    (tmp_path / "script.py").write_text(script)
    environment = dict(os.environ, QT_QPA_PLATFORM="offscreen")
    environment.pop("EVPIPE_METAVISION", None)
    command = [sys.executable, str(tmp_path / "script.py"), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def columns(path):
    """The columns t, x, y, p of a whole recording, straight from the reader."""
    reader = open_reader(str(path))
    parts = [[column.copy() for column in chunk] for chunk in reader.chunks(frozenset({"events"}))]
    reader.close()
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def bins(t, p, width_us, skip_us):
    """The lines that the script of rates prints."""
    lines = []
    for left in range(skip_us, int(t[-1]) + 1, width_us):
        due = (t >= left) & (t < left + width_us)
        lines.append(f"{left} {due.sum()} {p[due].sum()}")
    return lines


@pytest.mark.parametrize("skip_us", [0, 123_457])
def test_the_script_of_rates_counts_every_event_of_a_made_recording(tmp_path, raw, skip_us) -> None:
    """Also triggers before the time skipped to; empty bins are there."""
    random = np.random.default_rng(3)
    t = np.sort(random.integers(0, 400_000, 5000))
    t[0] = 0  # nothing to shift
    t = np.concatenate([t, t[-1] + 250_000 + np.arange(10)])
    path = raw(t.tolist(), edges=[(k, 0, k // 20_000 % 2) for k in range(20_000, 400_000, 20_000)])
    done = run(tmp_path, RATES, path, "--bin-us", "10000", "--skip-us", str(skip_us))
    assert done.returncode == 0, done.stderr
    *lines, triggers, _ = done.stdout.splitlines()
    assert lines == bins(t, np.arange(len(t)) % 2, 10_000, skip_us)
    assert triggers == "triggers 19 period 40000.0"
    assert not done.stderr


@pytest.mark.parametrize(
    ("name", "shift_us", "skip_us"),
    [("evt2.raw", 913716224, 0), ("evt3.raw", 11194368, 0), ("evt3.raw", 11194368, 5_000_001)],
)
def test_the_script_of_rates_counts_every_event_of_a_real_recording(shared, tmp_path, name, shift_us, skip_us) -> None:
    path = shared / "data/faery_sdist" / name
    done = run(tmp_path, RATES, str(path), "--bin-us", "10000", "--skip-us", str(skip_us))
    assert done.returncode == 0, done.stderr
    *lines, triggers, hottest = done.stdout.splitlines()
    t, x, y, p = columns(path)
    t -= shift_us
    assert lines == bins(t, p, 10_000, skip_us)
    assert triggers == "triggers 0 period None"
    keep = t >= skip_us
    heat = np.zeros((720, 1280), np.int64)
    np.add.at(heat, (y[keep], x[keep]), 1)
    assert hottest == "hottest {} {}".format(*np.unravel_index(heat.argmax(), heat.shape))


@pytest.mark.parametrize("name", ["evt3.raw", pytest.param("gen4.dat", marks=pytest.mark.slow)])
def test_the_viewer_shows_a_real_recording(shared, tmp_path, name) -> None:
    """10.8 s of recording at 40 times its pace: a picture at each multiple of 33333 us, the same for both formats."""
    path = shared / "data/faery_sdist" / name
    done = run(tmp_path, VIEWER, str(path), "0.025")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("frames 323 33333 10766559 ")
    t, x, y, _ = columns(path)
    t -= 11194368 if name == "evt3.raw" else 0
    stamps = np.arange(33333, t[-1] + 1, 33333)
    pixels = y.astype(np.int64) * 1280 + x
    firsts, lasts = np.searchsorted(t, stamps - 20_000), np.searchsorted(t, stamps)
    lit = sum(len(np.unique(pixels[first:last])) for first, last in zip(firsts, lasts, strict=True))
    assert int(done.stdout.split()[-1]) == lit


def test_the_viewer_shows_a_made_recording(tmp_path, raw) -> None:
    done = run(tmp_path, VIEWER, raw(list(range(0, 200_000, 100))), "0.1")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"frames 5 33333 166665 {200 * 5}\n"


def test_the_viewer_shows_another_maker_s_recording(tmp_path, shared) -> None:
    """AEDAT 4 with frames, IMU and times since 1970."""
    done = run(tmp_path, VIEWER, str(shared / "data/faery_sdist/davis346.aedat4"), "0.1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("frames 70 33333 2333310 ")


@pytest.mark.parametrize(
    ("source", "said"), [("", "OSError: Failed to open camera  !"), ("mistyped.raw", "FileNotFoundError: mistyped.raw")]
)
def test_the_viewer_without_a_recording_ends_before_a_window(tmp_path, source, said) -> None:
    done = run(tmp_path, VIEWER, source)
    assert done.returncode == 1
    assert said in done.stderr.splitlines()[-1]

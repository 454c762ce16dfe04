"""`evpipe tap`: lines, files and a window of what flows; and real runs that do not mind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from evpipe.cli import packet_files
from evpipe.cli.packet_files import open_file
from evpipe.cli.packet_text import plain, text
from evpipe.errors import RecorderError, UsageError
from evpipe.link.queue import Gap
from evpipe.packets import Boxes, Events, Frame, FramePair, Imu, Packet, Scores, Tensor, Triggers
from evpipe.run.reach import Reach

NONE = np.zeros(0)
SPAN = {"t0_us": 1_000_000, "t1_us": 1_005_000, "seq": 3}


def events(n: int = 4, t0_us: int = 1_000_000) -> Events:
    t = np.arange(n, dtype=np.int64) + t0_us
    x = np.arange(n).astype(np.uint16)
    p = np.arange(n).astype(np.uint8) % 2
    return Events(t0_us=t0_us, t1_us=t0_us + 5000, seq=3, t=t, x=x, y=x // 2, p=p, width=20, height=10)


def boxes(*labels: int) -> Boxes:
    n = len(labels)
    column = np.arange(n).astype(np.float32)
    names = {"x": column, "y": column, "w": column, "h": column, "score": column}
    numbers = {"label": np.array(labels, np.int16), "track": np.arange(n).astype(np.int32)}
    return Boxes(**SPAN, **names, **numbers, labels=("car", "person"))


IMAGE = np.full((48, 64, 3), 7, np.uint8)
PAIR = {"t": events().t, "x": events().x, "y": events().y, "p": events().p, "width": 20, "height": 10}
SCORES = {"attention": NONE.astype(np.float32), "kept": NONE.astype(bool), "labels": ("clap", "wave")}
PACKETS: list[tuple[Packet, str, dict]] = [
    (events(), "4 events, 800 ev/s, 50% brighter", {"events": 4, "on": 2, "rate_ev_s": 800.0, "width": 20}),
    (events(0), "0 events, 0 ev/s", {"events": 0, "on": 0}),
    (Frame(**SPAN, image=IMAGE), "picture 48 x 64 x 3, mean 7", {"shape": [48, 64, 3], "mean": 7.0}),
    (FramePair(**SPAN, **PAIR, image=IMAGE, lag_us=2500), "picture 48 x 64 x 3, 4 events, lag 2.5 ms",
     {"events": 4, "lag_us": 2500, "has_image": True}),
    (Tensor(**SPAN, values=np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4), axes="TPHW", edges_us=NONE.astype(int)),
     "TPHW 1 x 2 x 3 x 4 float32, 0 to 23", {"axes": "TPHW", "shape": [1, 2, 3, 4], "max": 23.0}),
    (Scores(**SPAN, **SCORES, values=np.array([0.1, 0.9], np.float32)), "wave (0.90)", {"values": [0.1, 0.9]}),
    (boxes(1, 0, 1), "1 car, 2 person", {}),
    (boxes(), "no boxes", {"boxes": []}),
    (Triggers(**SPAN, t=events().t, channel=events().p, value=events().p), "4 samples", {"samples": 4}),
    (Imu(**SPAN, t=events().t, accel=np.zeros((4, 3), np.float32), gyro=np.zeros((4, 3), np.float32)), "4 samples",
     {"samples": 4}),
]  # fmt: skip


@pytest.mark.parametrize(("packet", "words", "fields"), PACKETS)
def test_a_packet_in_a_line(packet, words, fields):
    """Number, span and what its kind is about; as JSON the same with names."""
    assert text(packet) == f"#3  1.0000 to 1.0050 s  (5 ms)  {words}"
    found = json.loads(json.dumps(plain(packet, "camera.port")))
    assert found | fields == found
    head = {"node": "camera", "port": "port", "kind": type(packet).__name__, "seq": 3, "epoch": 0, "t0_us": 1_000_000}
    assert found | head == found


def test_packets_of_a_running_graph_are_printed(command, start):
    """A line each with their port; `--count` and `--seconds` end it; gaps are told."""
    host = start("tap_host.py", "shm", "200", "events")
    lines = command("tap", host.name, "camera.events", "--count", "5").out.splitlines()
    assert len(lines) == 5
    assert all(line.startswith("camera.events  #") for line in lines)
    assert lines[0].endswith("2.50 k events, 500 kev/s, 50% brighter")
    found = [
        json.loads(line) for line in command("tap", host.name, "camera", "--seconds", "1s", "--json").out.splitlines()
    ]
    assert 150 < len(found) < 250
    assert [packet["seq"] for packet in found] == list(range(found[0]["seq"], found[0]["seq"] + len(found)))
    assert found[0]["port"] == "events"
    with Reach(host.name) as reach:
        assert reach.ask("state")["edges"] == []


def test_events_are_saved_as_a_recording(command, start, tmp_path):
    """An .npz that `evpipe info` reads, equal to what flowed; an existing file only with --force."""
    host = start("tap_host.py", "shm", "200", "events")
    path = tmp_path / "some.npz"
    said = command("tap", host.name, "camera", "--count", "8", "--save", str(path))
    assert (said.out, said.err) == ("", f"{path}: 8 packets\n")
    with np.load(path) as kept:
        assert kept["counts"].tolist() == [2500] * 8
        assert kept["seq"].tolist() == list(range(kept["seq"][0], kept["seq"][0] + 8))
        assert np.array_equal(kept["t"], np.arange(kept["t0_us"][0], kept["t1_us"][-1], 2))
        assert (kept["x"] == np.repeat(kept["seq"] % 346, 2500)).all()
    info = json.loads(command("info", str(path), "--json").out)
    assert (info["n_events"], info["width"], info["height"], info["damage"]) == (20_000, 346, 260, [])
    with pytest.raises(UsageError, match=r"some.npz: the file exists; give another one, or --force"):
        command("tap", host.name, "camera", "--save", str(path))
    assert command("tap", host.name, "camera", "--count", "1", "--save", str(path), "--force").err.endswith(
        "1 packets\n"
    )


def test_ctrl_c_keeps_what_was_saved(start, tmp_path):
    """A file that is written when the person has seen enough is whole."""
    host = start("tap_host.py", "shm", "200", "events")
    path = tmp_path / "some.npz"
    code = (
        "import sys; from evpipe.cli import main; main.COMMANDS['tap'] = main.Command('tap', 'x', 'x'); "
        "sys.exit(main.main(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", code, "tap", host.name, "camera", "--save", str(path)]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130, err
    with np.load(path) as kept:
        assert len(kept["seq"]) > 20


def test_a_picture_of_the_newest_events(command, start, tmp_path):
    """Without a count it is full after 33 ms of sensor time; colours are the window's."""
    host = start("tap_host.py", "shm", "200", "events")
    path = tmp_path / "seen.png"
    said = command("tap", host.name, "camera", "--save", str(path))
    assert said.err == f"{path}: picture of 346 x 260 pixels\n"
    image = cv2.imread(str(path))
    background = np.array([19, 14, 11])
    lit = (image != background).any(axis=2)
    assert 6 <= lit.sum() <= 8  # a pixel for each packet of 5 ms
    pictures = start("tap_host.py", "tcp", "100", "frame")
    command("tap", pictures.name, "camera", "--save", str(tmp_path / "frame.png"))
    frame = cv2.imread(str(tmp_path / "frame.png"), cv2.IMREAD_UNCHANGED)
    assert frame.shape == (60, 80)
    assert (frame == frame[0, 0]).all()


def test_lines_are_saved_with_gaps(command, start, tmp_path):
    """Of a fast port of pictures `newest` lets packets go; each gap stands before the packet it precedes."""
    host = start("tap_host.py", "shm", "2000", "frame")
    path = tmp_path / "seen.jsonl"
    command("tap", host.name, "camera", "--count", "300", "--save", str(path))
    expected = None
    for line in path.read_text().splitlines():
        found = json.loads(line)
        if found["kind"] == "Mark":
            expected = None if expected is None else expected + found["count"]
        else:
            assert expected in (None, found["seq"])
            expected = found["seq"] + 1


def saved(path: Path, *packets: Packet) -> str:
    file = open_file(str(path), force=False, bounded=True)
    for packet in packets:
        file.gap(Gap("age", 2, 5, 0, 1), "a.b")
        file.add(packet, "a.b")
    return file.close()


def test_arrays_of_every_kind_come_back(tmp_path):
    """Columns one after the other, other arrays stacked; nothing is pickled."""
    for k, (packet, _, _) in enumerate(PACKETS):
        path = tmp_path / f"{k}.npz"
        assert saved(path, packet, packet) == f"{path}: 2 packets, 4 packets between them went by"
        with np.load(path, allow_pickle=False) as kept:
            assert kept["t0_us"].tolist() == [1_000_000] * 2
            for name in packet.__struct_fields__:
                value = getattr(packet, name)
                if isinstance(value, np.ndarray):
                    columns = isinstance(packet, Events | Triggers | Imu | Boxes)
                    twice = np.concatenate([value, value]) if columns else np.stack([value, value])
                    assert np.array_equal(kept[name], twice)
                    assert kept[name].dtype == value.dtype


def test_what_cannot_be_saved_is_said(tmp_path, monkeypatch):
    """Endings, folders, kinds without a picture, shapes that change, a limit that is reached."""
    with pytest.raises(UsageError, match=r"expected a name that ends in one of .npz, .png, .jsonl"):
        saved(tmp_path / "a.txt")
    for name in ("no/a.npz", "no/a.jsonl", "no/a.png"):
        with pytest.raises(RecorderError, match=r"no/a.* cannot be written: No such file or directory"):
            saved(tmp_path / name, Frame(**SPAN, image=IMAGE))
    with pytest.raises(UsageError, match=r"a Boxes is no picture; save as .npz or .jsonl"):
        saved(tmp_path / "b.png", boxes())
    with pytest.raises(RecorderError, match=r"'image' changes its shape \(\(24, 64, 3\), \(48, 64, 3\)\)"):
        saved(tmp_path / "c.npz", Frame(**SPAN, image=IMAGE), Frame(**SPAN, image=IMAGE[:24]))
    assert saved(tmp_path / "d.npz") == f"{tmp_path}/d.npz: not written, nothing came"
    assert saved(tmp_path / "d.png") == f"{tmp_path}/d.png: not written, no picture came"
    monkeypatch.setattr(packet_files, "KEPT_BYTES", 1)
    assert saved(tmp_path / "e.npz", events()).endswith("its limit of 0 MiB is reached")
    full = tmp_path / "full.jsonl"
    full.symlink_to("/dev/full")
    file = open_file(str(full), force=True, bounded=True)
    file.add(events(), "a.b")
    with pytest.raises(RecorderError, match=r"full.jsonl: cannot be written: No space left on device; free some disk"):
        file.close()


def test_a_tensor_as_a_picture(tmp_path):
    """The mean over time and polarity, black to white, rows down."""
    values = np.zeros((2, 2, 3, 4), np.float32)
    values[:, :, 2, 1] = 5
    saved(tmp_path / "t.png", Tensor(**SPAN, values=values, axes="TPHW", edges_us=np.zeros(3, np.int64)))
    image = cv2.imread(str(tmp_path / "t.png"), cv2.IMREAD_UNCHANGED)
    assert image.shape == (3, 4)
    assert image[2, 1] == 255
    assert image.sum() == 255


def test_a_window_shows_the_port(command, start):
    """Offscreen: it opens, takes packets, and closes when the time is up."""
    host = start("tap_host.py", "shm", "100", "events")
    assert command("tap", host.name, "camera", "--plot", "--seconds", "500ms").code == 0
    assert threading.active_count() < 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("a b c", r"tap a b c: expected `evpipe tap \[RUN\] NODE\[.PORT\]`"),
        ("a --count 0", "--count 0: expected a whole number above 0"),
        ("a --plot --save x.png", "--plot --save: give one of them"),
    ],
)
def test_words_that_are_no_port(command, words, said):
    """The rule and what was found."""
    with pytest.raises(UsageError, match=said):
        command("tap", *words.split())


def test_ports_of_a_real_run(command, live_run):
    """Of a source, of a node that only others in its worker hear, of a result; unknown ones are named."""
    run = live_run()
    assert command("tap", run.name, "noise.events", "--count", "3").out.count("noise.events  #") == 3
    assert command("tap", run.name, "fine", "--count", "3").out.count("100% brighter") == 3
    assert "rate.scores  #" in command("tap", run.name, "rate", "--count", "1").out
    with pytest.raises(UsageError, match="tap: noise has several ports; it has: events, frame"):
        command("tap", run.name, "noise")
    with pytest.raises(UsageError, match="tap: there is no node 'lens'"):
        command("tap", run.name, "lens.events")


def test_a_run_is_as_it_was_after_its_taps(command, live_run):
    """Nothing is kept for taps that left, on a port that nobody else hears over shared memory: its
    memory stays flat.
    """
    run = live_run()
    command("tap", run.name, "noise.frame", "--count", "2")
    command("tap", run.name, "noise.events", "--count", "2")

    def shared() -> int:
        with Reach(run.name) as reach:
            worker = next(one for one in reach.ask("state")["workers"] if "noise" in one["nodes"])
        return psutil.Process(worker["pid"]).memory_info().shared

    time.sleep(0.5)
    before = shared()
    time.sleep(2)
    assert shared() - before < 1e6


def test_a_frozen_tap_costs_a_lossless_run_nothing(live_run, tmp_path):
    """SIGSTOP of the tap: a recorder goes on, and its lines are those of a run that nobody looked at."""
    graph = """
evpipe: 1
name: {name}
clock: replay
nodes:
  noise: {{use: "{ops}:Noise", with: {{packets: 600, span_us: 5000}}}}
  rate: {{use: "{ops}:Rate", in: noise.events, with: {{every: 1}}}}
  lines: {{use: "{ops}:Lines", in: [noise.events, rate], with: {{path: FILE}}}}
"""
    first, second = tmp_path / "first.txt", tmp_path / "second.txt"
    run = live_run(graph=graph.replace("FILE", str(first)))
    code = (
        "import sys; from evpipe.run.reach import Reach; from evpipe.run.tap import Tap\n"
        "with Reach(sys.argv[1]) as reach, Tap(reach, 'noise', 'events') as tap:\n"
        "    for arrival in tap.arrivals(): print(arrival.packet.seq, flush=True)"
    )
    tap = subprocess.Popen([sys.executable, "-c", code, run.name], stdout=subprocess.PIPE, text=True)
    assert tap.stdout is not None
    tap.stdout.readline()
    tap.send_signal(signal.SIGSTOP)
    try:
        _, err = run.communicate(timeout=15)
    finally:
        tap.kill()
        tap.communicate()
    assert run.returncode == 0, err
    untouched = live_run("--clock", "fast", graph=graph.replace("FILE", str(second)))
    untouched.communicate(timeout=30)
    assert untouched.returncode == 0
    assert len(first.read_bytes()) > 20_000
    assert first.read_bytes() == second.read_bytes()

"""Sessions of real runs: recorded by processes, killed, out of disk, replayed in the place of any node."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evpipe.cli.main import main
from evpipe.packets import Scores
from evpipe.recorder.session_file import SessionFile
from evpipe.recorder.session_writer import files_of

OPS = Path(__file__).parents[1] / "run" / "ops.py"
ROOT = Path(__file__).parents[3]


def evpipe(*arguments):
    command = [sys.executable, "-m", "evpipe", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)


def packets(path, *nodes):
    file = SessionFile(str(path))
    found = [one.packet for one in file.packets(frozenset(nodes or file.ports))]
    assert not file.account.damage
    file.close()
    return found


@pytest.fixture
def all_ports(recorded_graph):
    """The graph with a recorder on every port, also those that carry halves of a picture under names of their own."""
    text = f"  halves: {{use: '{OPS}:halves', in: noise.events}}\n"
    ports = "[noise.events, noise.frame, rate, halves.left]"
    text += f"  recorder: {{use: evpipe.recorder.Recorder, in: {ports}, with: {{path: OUT}}}}\n"
    recorded_graph.write_text(recorded_graph.read_text() + text)
    return recorded_graph


def record(graph, path, *more):
    """Record a run, in this process if `more` says --inline."""
    words = ["run", graph, "--set", f"recorder.path={path}", *more]
    if "--inline" in more:
        assert main([str(word) for word in words]) == 0
    else:
        ran = evpipe(*words)
        assert ran.returncode == 0, ran.stderr


def test_every_port_is_a_topic_and_two_runs_are_equal_bytes(all_ports, tmp_path):
    """In processes and in one: the same file, and results beside it as ever."""
    record(all_ports, tmp_path / "a.mcap")
    record(all_ports, tmp_path / "b.mcap", "--inline")
    assert (tmp_path / "a.mcap").read_bytes() == (tmp_path / "b.mcap").read_bytes()
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    file = SessionFile(str(tmp_path / "a.mcap"))
    assert {node: list(ports) for node, ports in file.ports.items()} == {
        "noise": ["events", "frame"], "rate": ["scores"], "halves": ["left"]
    }  # fmt: skip
    file.close()
    lines = [json.loads(text) for text in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [entry["seq"] for entry in lines] == list(range(66))


def test_a_replay_reproduces_the_run(all_ports, tmp_path, equal):
    """With the recording for the source: the same packets of every port, the same results."""
    record(all_ports, tmp_path / "a.mcap", "--inline")
    record(all_ports, tmp_path / "b.mcap", "--replay", tmp_path / "a.mcap", "--clock", "fast")
    equal(packets(tmp_path / "b.mcap"), packets(tmp_path / "a.mcap"))
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


@pytest.mark.parametrize("inline", [(), ("--inline",)])
def test_a_recorded_port_stands_in_for_any_node(all_ports, tmp_path, equal, inline):
    """The classifier's answers come from the file: those of the recording, whatever the node would say now."""
    record(all_ports, tmp_path / "a.mcap", "--inline")
    replays = ("--replay", f"rate={tmp_path / 'a.mcap'}", "--replay", f"noise={tmp_path / 'a.mcap'}", "--clock", "fast")
    record(all_ports, tmp_path / "b.mcap", *replays, *inline)
    equal(packets(tmp_path / "b.mcap"), packets(tmp_path / "a.mcap"))
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    record(all_ports, tmp_path / "c.mcap", *replays[:2], "--clock", "fast", "--set", "noise.seed=9", "--inline")
    equal(packets(tmp_path / "c.mcap", "rate"), packets(tmp_path / "a.mcap", "rate"))
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "c.jsonl").read_bytes()


def test_a_node_that_cannot_be_replaced(all_ports, tmp_path, capsys):
    """Its ports are not in a session under names that a source can have; other formats replace sources only."""
    record(all_ports, tmp_path / "a.mcap", "--inline")
    replay = f"halves={tmp_path / 'a.mcap'}"
    assert main(["run", str(all_ports), "--replay", replay, "--inline", "--set", "recorder.path=none"]) == 2
    assert "Session has no port 'left'" in capsys.readouterr().err
    plain = tmp_path / "plain.csv"
    plain.write_text("t,x,y,p\n1,2,3,1\n")
    assert main(["run", str(all_ports), "--replay", f"rate={plain}", "--inline"]) == 2
    assert "'rate' is not a source" in capsys.readouterr().err


def test_the_graph_of_the_run_is_attached(all_ports, tmp_path):
    """Parameters and edges as they were, without folders of this machine; and the version."""
    record(all_ports, tmp_path / "a.mcap", "--set", "rate.every=4", "--inline")
    file = SessionFile(str(tmp_path / "a.mcap"))
    text, about = file.scan.attachments[0].data.decode(), file.scan.metadata["evpipe"]
    file.close()
    assert "every: 4" in text
    assert "events: noise.events" in text
    assert str(tmp_path) not in text
    assert str(OPS.parent) not in text
    assert "recorder" not in text
    assert about["app"] == "recorded"
    assert about["version"]


def test_rotation_in_a_run(all_ports, tmp_path, equal, capsys):
    """`rotate_us: 300ms` gives four files for a second; together they hold the run."""
    record(all_ports, tmp_path / "a.mcap", "--inline")
    record(all_ports, tmp_path / "b.mcap", "--set", "recorder.rotate_us=300ms", "--inline")
    files = files_of(tmp_path / "b")
    assert [path.name for path in files] == [f"b_{k:03}.mcap" for k in range(4)]
    equal([p for path in files for p in packets(path)], packets(tmp_path / "a.mcap"))
    assert main(["run", str(all_ports), "--set", f"recorder.path={tmp_path / 'b.mcap'}", "--inline"]) == 2
    assert "exists; give another path, or --force" in capsys.readouterr().err


def test_rotation_is_for_sessions(all_ports, capsys):
    """`evpipe check` says so."""
    assert main(["check", str(all_ports)]) == 0
    all_ports.write_text(all_ports.read_text().replace("path: OUT", "path: OUT, rotate_us: 1s"))
    assert main(["check", str(all_ports)]) == 2
    assert "only sessions begin new files by time or size" in capsys.readouterr().err


def test_an_existing_session_is_not_overwritten(recorded_graph, tmp_path, capsys):
    """Exit code 2 and its name; --force removes it and what rotation had left of it."""
    for name in ("a.mcap", "a_003.mcap"):
        (tmp_path / name).write_text("precious")
    words = ["run", str(recorded_graph), "--inline", "--record", str(tmp_path / "a.mcap")]
    assert main(words) == 2
    assert "a.mcap exists; give another path, or --force" in capsys.readouterr().err
    assert (tmp_path / "a.mcap").read_text() == "precious"
    assert main([*words, "--force"]) == 0
    assert files_of(tmp_path / "a") == [tmp_path / "a.mcap"]
    assert len(packets(tmp_path / "a.mcap", "rate")) == 66


def test_numbered_sessions(recorded_graph, tmp_path, capsys):
    """`{n}` passes over the numbers of sessions and of results alike."""
    (tmp_path / "a-1_000.mcap").touch()
    assert main(["run", str(recorded_graph), "--inline", "--record", str(tmp_path / "a-{n}.mcap")]) == 0
    assert f"recording to {tmp_path}/a-2.mcap and {tmp_path}/a-2.jsonl" in capsys.readouterr().err
    assert (tmp_path / "a-2.mcap").exists()


FULL_DISK = """
import resource, signal
from evpipe.recorder import Recorder

class Limited(Recorder):
    def open(self):
        super().open()
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
"""


@pytest.mark.parametrize("inline", [(), ("--inline",)])
def test_a_file_that_may_not_grow_ends_the_run(all_ports, tmp_path, inline):
    """Exit code 5, one sentence, and everything that was written before reads back."""
    (tmp_path / "limited.py").write_text(FULL_DISK)
    text = all_ports.read_text().replace("use: evpipe.recorder.Recorder", "use: './limited.py:Limited'")
    all_ports.write_text(text.replace("path: OUT", f"path: {tmp_path / 'a.mcap'}"))
    ran = evpipe("run", all_ports, *inline)
    assert ran.returncode == 5, ran.stderr
    assert "cannot be written: File too large. What was written before stays readable" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert (tmp_path / "a.mcap").stat().st_size == 100_000
    assert main(["info", str(tmp_path / "a.mcap")]) == 3
    assert main(["recover", str(tmp_path / "a.mcap"), str(tmp_path / "b.mcap")]) == 3
    assert packets(tmp_path / "b.mcap", "noise")


def test_a_full_disk_ends_the_run(recorded_graph, tmp_path):
    """As above, on a file system of 200 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "none", disk]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small file system is not allowed here")
    try:
        ran = evpipe("run", recorded_graph, "--record", disk / "a.mcap")
        assert ran.returncode == 5, ran.stderr
        assert "No space left on device" in ran.stderr
        assert "Traceback" not in ran.stderr
        assert main(["recover", str(disk / "a.mcap"), str(tmp_path / "b.mcap")]) == 3
        assert packets(tmp_path / "b.mcap", "noise")
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(recorded_graph, tmp_path):
    """Exit code 5 before anything starts."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    assert evpipe("run", recorded_graph, "--record", folder / "a.mcap").returncode == 5


def test_a_folder_that_does_not_exist_is_told_before_the_start(recorded_graph, tmp_path):
    """Exit code 5, the path and the reason."""
    ran = evpipe("run", recorded_graph, "--record", tmp_path / "no" / "a.mcap")
    assert ran.returncode == 5
    assert "No such file or directory" in ran.stderr


def workers_of(pid):
    """Processes below this one, with their command lines."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            if parent == pid:
                found[int(entry.name)] = (entry / "cmdline").read_bytes()
    return found


def holder_of(path, pid):
    """The child of `pid` that has this file open."""
    for child in workers_of(pid):
        for fd in Path(f"/proc/{child}/fd").iterdir():
            try:
                if os.readlink(fd) == str(path):
                    return child
            except OSError:
                continue
    return None


def kill_the_recorder(graph, tmp_path, name, after_s):
    """Run live, kill the recorder's process; (last time that its file has in us, host s from the first to the kill)."""
    path = tmp_path / f"{name}.mcap"
    command = [sys.executable, "-m", "evpipe", "run", str(graph), "--clock", "replay", "--record", str(path)]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not (path.exists() and path.stat().st_size > 2000) and time.monotonic() < deadline:
            time.sleep(0.005)
        begun = time.monotonic()  # the first packet is on disk
        time.sleep(after_s)
        holder = holder_of(path, run.pid)
        assert holder is not None
        os.kill(holder, signal.SIGKILL)
        killed_us = (time.monotonic() - begun) * 1e6
    finally:
        run.send_signal(signal.SIGINT)
        assert run.wait(30) != 0
    file = SessionFile(str(path))
    times = [packet.t1_us for _, _, packet, _ in file.packets(frozenset({"noise"}))]
    scores = [packet for _, _, packet, _ in file.packets(frozenset({"rate"})) if isinstance(packet, Scores)]
    file.close()
    assert scores
    assert times == sorted(times)
    return times[-1], killed_us


@pytest.fixture
def long_graph(tmp_path):
    """A minute of noise at the pace of a camera."""
    path = tmp_path / "long.yaml"
    noise = f'{{use: "{OPS}:Noise", with: {{packets: 12000}}}}'
    rate = f'{{use: "{OPS}:Rate", in: noise.events}}'
    path.write_text(f"evpipe: 1\nname: long\nclock: replay\nnodes:\n  noise: {noise}\n  rate: {rate}\n")
    return path


def test_a_killed_recorder_loses_less_than_a_second(long_graph, tmp_path):
    """SIGKILL while it records: all that is older than 1 s of sensor time reads back."""
    last_us, killed_us = kill_the_recorder(long_graph, tmp_path, "k", 1.3)
    assert last_us > killed_us - 1_000_000, (last_us, killed_us)


@pytest.mark.slow
def test_a_recorder_killed_20_times(long_graph, tmp_path):
    """At 20 moments."""
    for k in range(20):
        last_us, killed_us = kill_the_recorder(long_graph, tmp_path, f"k{k}", 0.7 + 0.17 * k)
        assert last_us > killed_us - 1_000_000, (k, last_us, killed_us)


def test_rosbags_and_mcap_read_a_run(all_ports, tmp_path):
    """Every topic, and the events by the definition in the file."""
    highlevel = pytest.importorskip("rosbags.highlevel")
    reading = pytest.importorskip("mcap.reader")
    record(all_ports, tmp_path / "a.mcap", "--inline")
    expected = packets(tmp_path / "a.mcap", "noise")
    with highlevel.AnyReader([tmp_path / "a.mcap"]) as reader:
        assert {c.topic for c in reader.connections} == {
            "/noise/events",
            "/noise/frame",
            "/rate/scores",
            "/halves/left",
        }
        wanted = [c for c in reader.connections if c.topic == "/noise/events"]
        found = [reader.deserialize(raw, c.msgtype) for c, _, raw in reader.messages(wanted)]
        scores = [c for c in reader.connections if c.topic == "/rate/scores"]
        answers = [reader.deserialize(raw, c.msgtype) for c, _, raw in reader.messages(scores)]
    events = [p for p in expected if type(p).__name__ == "Events"]
    assert [len(one.events) // 8 for one in found] == [len(p) for p in events]
    assert (found[3].width, found[3].height, found[3].seq) == (64, 48, 3)
    assert [one.labels for one in answers] == [["rate", "on"]] * 66
    with (tmp_path / "a.mcap").open("rb") as file:
        reader = reading.make_reader(file, validate_crcs=True)
        assert sum(1 for _ in reader.iter_messages()) == reader.get_summary().statistics.message_count


@pytest.mark.slow
def test_har_live_replays_to_the_same_answers(tmp_path):
    """The demo with all its ports recorded; then its camera, and its bins and classifier, come from the file."""
    if not (ROOT / "apps" / "har_live.yaml").exists():
        pytest.skip("needs the apps")
    graph = tmp_path / "har_all.yaml"
    graph.write_text(
        f"extends: {ROOT / 'apps' / 'har_live.yaml'}\nnodes:\n  window: null\n  recorder:\n"
        "    use: evpipe.recorder.Recorder\n    in: [camera.events, camera.frame?, bins, har]\n    with: {path: none}\n"
    )
    record(graph, tmp_path / "a.mcap", "--camera", "simulated", "--clock", "fast", "--duration", "2", "--seed", "3")
    a = tmp_path / "a.mcap"
    record(graph, tmp_path / "b.mcap", "--replay", a, "--clock", "fast")
    replays = [word for node in ("camera", "bins", "har") for word in ("--replay", f"{node}={a}")]
    record(graph, tmp_path / "c.mcap", *replays, "--clock", "fast")
    assert a.with_suffix(".jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert a.with_suffix(".jsonl").read_bytes() == (tmp_path / "c.jsonl").read_bytes()
    bodies = [[(p.t0_us, p.t1_us, type(p).__name__) for p in packets(tmp_path / f"{name}.mcap")] for name in "abc"]
    assert bodies[0] == bodies[1] == bodies[2]

"""A long run under load: windows come and go, the recording is sought, and nothing may grow or go missing.

    python tests/soak.py --minutes 30 --rate 4

Plays a recording of the simulated camera (or --recording FILE) in a loop through binning and a spiking classifier, at
--rate times its own speed. Every 20 s a window (`evpipe tap --plot`, offscreen where there is no display) attaches and
leaves again, every 30 s a seek. Ends with a table, and 1 if memory grew by 5 % after the warm-up, ages drifted, or an
account does not add up.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from evpipe.run.reach import Reach

GRAPH = """
evpipe: 1
name: soak{pid}
nodes:
  camera: {{use: sensors.replay.Replay, with: {{path: "{recording}"}}}}
  bins:
    use: operators.temporal_bin.TemporalBin
    in: camera.events
    with: {{window: 480ms, hop: 60ms, frames: 16, size: [32, 32]}}
  har: {{use: operators.ta_snn.Classify, in: bins, with: {{model: ta_snn_sim}}, policy: newest}}
  track: {{use: operators.filters.Refractory, in: camera.events, worker: side, policy: keep_up}}
"""
EVPIPE = [sys.executable, "-m", "evpipe"]
WARM_UP_S = 120.0
MIB = 2**20


def record(path: Path, seconds: int) -> None:
    """A recording of the simulated camera."""
    graph = path.with_suffix(".yaml")
    graph.write_text("evpipe: 1\nname: make\nnodes:\n  camera: {use: sensors.simulated.SimulatedCamera}\n")
    options = ["--clock", "fast", "--headless", "--duration", str(seconds), "--record", str(path.with_suffix(""))]
    subprocess.run([*EVPIPE, "run", str(graph), "-q", *options], check=True)


def resident(pid: int) -> int:
    """Bytes of memory of its own that a process holds: what it shares with others (files, the arena) left out."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")


def sample(reach: Reach) -> dict[str, Any]:
    """Memory by process, counters by edge."""
    asked = time.monotonic()
    state = reach.ask("state")
    if time.monotonic() - asked > 1:
        print(f"the supervisor took {time.monotonic() - asked:.1f} s to answer", flush=True)
    memory = {worker["name"]: resident(worker["pid"]) for worker in state["workers"]}
    files = sum(len(os.listdir(f"/proc/{worker['pid']}/fd")) for worker in state["workers"])
    return state | {"memory": memory | {"supervisor": resident(state["pid"])}, "files": files}


def unbalanced(state: dict[str, Any]) -> list[str]:
    """Edges whose account does not add up; counters of a running graph are read one after another, hence the slack."""
    found = []
    for edge in state["edges"]:
        lost = edge["sent"] - edge["received"] - edge["dropped"] - edge["in_flight"]
        if abs(lost) > 3:
            found.append(f"{edge['from']}.{edge['port']} -> {edge['to']}: {lost} packets off")
    return found


def soak(reach: Reach, minutes: float, name: str) -> list[dict[str, Any]]:
    """Attach, detach, seek and measure until the time is over."""
    chance, samples = random.Random(0), []
    end = time.monotonic() + minutes * 60
    next_window = next_seek = next_sample = time.monotonic() + 5
    env = os.environ | {"QT_QPA_PLATFORM": os.environ.get("QT_QPA_PLATFORM", "offscreen")}
    window: subprocess.Popen[bytes] | None = None
    count = {"windows": 0, "seeks": 0}
    while (now := time.monotonic()) < end:
        if now >= next_window:
            next_window += 20
            if window is not None:
                window.wait(timeout=20)
            window = subprocess.Popen([*EVPIPE, "tap", name, "camera.events", "--plot", "--seconds", "10"], env=env)
            count["windows"] += 1
        if now >= next_seek:
            next_seek += 30
            reach.ask("seek", t_us=chance.randrange(0, 15_000_000))
            count["seeks"] += 1
        if now >= next_sample:
            next_sample += 10
            samples.append(sample(reach) | {"at_s": now} | count)
            if len(samples) % 6 == 1:
                print(line(samples[-1], samples[0]), flush=True)
        time.sleep(0.2)
    if window is not None:
        window.wait(timeout=20)
    return samples


def line(state: dict[str, Any], first: dict[str, Any]) -> str:
    """One line of progress."""
    memory = "  ".join(f"{name} {size / MIB:.1f}" for name, size in state["memory"].items())
    events = next(node["events"] for node in state["nodes"] if node["id"] == "camera")
    return f"{state['at_s'] - first['at_s']:6.0f} s  {events / 1e6:8.1f} Mev  MiB: {memory}  files {state['files']}"


def verdict(samples: list[dict[str, Any]], summary: dict[str, Any]) -> list[str]:
    """What does not hold."""
    faults = [text for state in samples for text in unbalanced(state)]
    for edge in summary["edges"]:
        if edge["sent"] != edge["received"] + edge["dropped"] + edge["in_flight"]:
            faults.append(f"at the end {edge['from']}.{edge['port']} -> {edge['to']} does not add up")
    warm_up_s = min(WARM_UP_S, (samples[-1]["at_s"] - samples[0]["at_s"]) / 3)
    warm = [state for state in samples if state["at_s"] - samples[0]["at_s"] > warm_up_s]
    third = max(1, len(warm) // 3)
    for name in warm[0]["memory"]:
        before = statistics.median(state["memory"][name] for state in warm[:third])
        after = statistics.median(state["memory"][name] for state in warm[-third:])
        print(f"memory of {name}: {before / MIB:.1f} -> {after / MIB:.1f} MiB ({after / before - 1:+.1%})")
        if after > 1.05 * before:
            faults.append(f"the memory of {name} grew by {after / before - 1:.1%}")
    files = [statistics.median(state["files"] for state in part) for part in (warm[:third], warm[-third:])]
    print(f"open files of the workers: {files[0]:.0f} -> {files[1]:.0f}")
    if files[1] > files[0] + 2:
        faults.append("open files grew")
    for edge in warm[0]["edges"]:
        key = (edge["from"], edge["port"], edge["to"])
        ages = [ages_of(state, key) for state in (warm[len(warm) // 2], warm[-1])]
        print(f"age of {key[0]}.{key[1]} -> {key[2]}, p50 and p99 so far: at half time {ages[0]}, at the end {ages[1]}")
        if ages[1][1] is not None and ages[1][1] > 1.2 * ages[0][1] + 5:
            faults.append(f"the age of {key} drifts")
    return faults


def ages_of(state: dict[str, Any], key: tuple[str, str, str]) -> tuple[float, float]:
    """Ages of one edge, ms."""
    edge = next(one for one in state["edges"] if (one["from"], one["port"], one["to"]) == key)
    return edge["age_p50_ms"], edge["age_p99_ms"]


def main() -> int:
    """Run and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=4)
    parser.add_argument("--recording")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(args.recording or Path(folder) / "simulated.aedat4").resolve()
        if args.recording is None:
            record(recording, 20)
        graph = Path(folder) / "soak.yaml"
        graph.write_text(GRAPH.format(pid=os.getpid(), recording=recording))
        command = [*EVPIPE, "run", str(graph), "--clock", "replay", "--loop", "--rate", str(args.rate)]
        run = subprocess.Popen([*command, "--summary", "json"], stdout=subprocess.PIPE, text=True)
        name = f"soak{os.getpid()}"
        time.sleep(8)
        with Reach(name, timeout_s=60) as reach:
            samples = soak(reach, args.minutes, name)
            reach.ask("stop")
        out, _ = run.communicate(timeout=30)
        faults = verdict(samples, json.loads(out))
    last = samples[-1]
    print(f"{last['windows']} windows, {last['seeks']} seeks, exit code {run.returncode}")
    for fault in dict.fromkeys(faults):
        print(f"DOES NOT HOLD: {fault}")
    return 1 if faults or run.returncode else 0


if __name__ == "__main__":
    sys.exit(main())

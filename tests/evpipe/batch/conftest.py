"""A small graph with operators of its own beside it, and `evpipe batch` in a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

OPS = '''
import os, signal
import numpy as np
from pathlib import Path
from evpipe.operator import Operator
from evpipe.packets import Boxes, Events, Scores


class Rate(Operator):
    """Share of brighter events, and how many packets there were; opening leaves a line in `opened`."""

    heavy = True

    def __init__(self, opened: str = "", factor: float = 1.0, die: str = "", model: str = "") -> None:
        self.opened, self.factor, self.die = opened, factor, die

    def open(self) -> None:
        self.reset()
        if self.opened:
            with open(self.opened, "a") as file:
                file.write("x")

    def reset(self) -> None:
        self.packets = 0

    def on_events(self, events: Events) -> Scores:
        if self.die and len(events) and not Path(self.die).exists():
            Path(self.die).mkdir()
            os.kill(os.getpid(), signal.SIGKILL)
        self.packets += 1
        values = np.array([self.factor * events.p.mean() if len(events) else 0, self.packets], np.float32)
        none = np.zeros(0, np.float32)
        return Scores(t0_us=events.t0_us, t1_us=events.t1_us, labels=("on", "packets, so far"), values=values,
                      attention=none, kept=none.astype(bool))


class Sloppy(Operator):
    """Counts on for ever: it cannot forget, so it must be made anew for each recording."""

    def __init__(self) -> None:
        self.n = 0

    def on_events(self, events: Events) -> Boxes:
        self.n += 1
        one = np.full(1, self.n, np.float32)
        return Boxes(t0_us=events.t0_us, t1_us=events.t1_us, x=one, y=one, w=one, h=one, score=one / 7,
                     label=np.zeros(1, np.int16), track=np.zeros(1, np.int32), labels=("all",))


class Broken(Operator):
    """Fails where a test makes it."""

    def on_events(self, events: Events) -> Scores | None:
        return None
'''

GRAPH = """
evpipe: 1
name: small
nodes:
  camera: {use: sensors.auto.Camera}
  rate: {use: "./ops.py:Rate", in: camera.events}
  boxes: {use: "./ops.py:Sloppy", in: camera.events}
  broken: {use: "./ops.py:Broken", in: camera.events}
  window: {use: evpipe.view.Window, in: {events: camera.events, scores: rate}}
  recorder: {use: evpipe.recorder.Recorder, in: [rate], with: {path: never}}
"""


class Batch:
    """`evpipe batch` on the small graph, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.graph = folder / "graph.yaml"
        self.graph.write_text(GRAPH)
        (folder / "ops.py").write_text(OPS)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "evpipe", "batch", str(self.graph), *words]

    def __call__(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*words), capture_output=True, text=True, check=False, timeout=60, cwd=self.folder
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done

    def files(self, out: str) -> dict[str, bytes]:
        """Every result file with its bytes; `run.json` holds host times."""
        top = self.folder / out
        files = (Path(folder) / name for folder, _, names in os.walk(top) for name in names)
        return {str(file.relative_to(top)): file.read_bytes() for file in files if file.name != "run.json"}


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    return Batch(tmp_path)


@pytest.fixture
def data(shared: Path, tmp_path: Path) -> Path:
    """A folder of real recordings of three formats, and a cut one."""
    folder = tmp_path / "data"
    (folder / "digits").mkdir(parents=True)
    for name in ("1", "2", "3", "100", "101", "102"):
        (folder / "digits" / f"{name}.bin").symlink_to(shared / f"data/nmnist_small/train/{name}.bin")
    whole = (shared / "data/faery_sdist/dvs.es").read_bytes()
    (folder / "whole.es").write_bytes(whole[: 100_000 // 5 * 5 + 15])
    (folder / "cut.aedat").write_bytes((shared / "data/dvs128_actions/neal_walking.aedat").read_bytes()[:80_000])
    (folder / "labels.tsv").write_text("not a recording")
    return folder

"""Runs graphs in processes of their own and checks that nothing of a run outlives it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

OPS = Path(__file__).with_name("ops.py")


class Ran:
    """A finished `evpipe run`: exit code, stderr, and its summary when there is one."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.err = code, err
        self.summary: dict[str, Any] = json.loads(out) if out.strip() else {}

    def edge(self, source: str, target: str) -> dict[str, Any]:
        return next(e for e in self.summary["edges"] if (e["from"], e["to"]) == (source, target))

    def check_accounts(self) -> None:
        for edge in self.summary["edges"]:
            for unit in ("", "_events"):
                total = edge[f"received{unit}"] + edge[f"dropped{unit}"] + edge[f"in_flight{unit}"]
                assert edge[f"sent{unit}"] == total, edge


class Runs:
    """Starts `evpipe run` on graphs written in YAML; `{ops}` in the text stands for the tests' operators."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, yaml: str, name: str = "graph.yaml") -> Path:
        path = self.folder / name
        path.write_text(yaml.replace("{ops}", str(OPS)).replace("{tmp}", str(self.folder)), encoding="utf-8")
        return path

    def start(self, yaml: str, *options: str, **env: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "evpipe", "run", str(self.write(yaml)), "--summary", "json", *options]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | env, cwd=self.folder
        )

    def run(self, yaml: str, *options: str, **env: str) -> Ran:
        return self.finish(self.start(yaml, *options, **env))

    @staticmethod
    def finish(process: subprocess.Popen[str], timeout_s: float = 60) -> Ran:
        out, err = process.communicate(timeout=timeout_s)
        return Ran(process.returncode, out, err)

    @staticmethod
    def workers_of(pid: int) -> list[psutil.Process]:
        """The worker processes of a running supervisor."""
        return [child for child in psutil.Process(pid).children() if "evpipe.run.worker" in child.cmdline()]

    @staticmethod
    def wait_for(condition: Any, timeout_s: float = 20) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "did not come true in time"
            time.sleep(0.02)


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    shm_before = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
    yield Runs(tmp_path)

    def left() -> list[int]:
        mine = []
        for process in psutil.process_iter(["pid", "cmdline", "environ"]):
            ours = "evpipe.run.worker" in (process.info["cmdline"] or []) and str(tmp_path) in _cwd(process)
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                mine.append(process.pid)
        return mine

    Runs.wait_for(lambda: not left(), 3)
    shm_after = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
    assert not {name for name in shm_after - shm_before if name.startswith("evpipe")}


def _cwd(process: psutil.Process) -> str:
    try:
        return process.cwd()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""

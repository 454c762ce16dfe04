"""What a run tells the person who started it: lines on stderr and, when asked for, a folder with the run's record."""

from __future__ import annotations

import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

import evpipe
from evpipe.errors import UsageError
from evpipe.graph.model import Graph
from evpipe.run.options import Outcome


class RunLog:
    """Lines to stderr and, with `folder` not None, to `folder`/log.txt; the outcome to `folder`/run.json at the end."""

    def __init__(self, folder: str | None, graph: Graph, quiet: bool = False) -> None:
        self._graph = graph
        self._quiet = quiet
        self._folder = None if folder is None else _new_folder(folder, graph.name)
        self._lines = None if self._folder is None else (self._folder / "log.txt").open("w", encoding="utf-8")

    def say(self, text: str) -> None:
        """One line, or an error's paragraph."""
        if not self._quiet or text.startswith("error:"):
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
        if self._lines is not None:
            self._lines.write(f"{time.strftime('%H:%M:%S')} {text}\n")
            self._lines.flush()

    def table(self, text: str) -> None:
        """The exit table."""
        self.say(text)

    def close(self, outcome: Outcome) -> None:
        """Write run.json."""
        if self._folder is None or self._lines is None:
            return
        self._lines.close()
        record: dict[str, Any] = {
            "evpipe": evpipe.__version__,
            "python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}",
            "graph": self._graph.path,
            "nodes": {n.id: {"use": n.use, "with": msgspec.to_builtins(n.params)} for n in self._graph.nodes},
            "exit_code": outcome.exit_code,
            "errors": [str(error) for error in outcome.errors],
            "summary": outcome.summary,
        }
        (self._folder / "run.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _new_folder(asked: str, name: str) -> Path:
    folder = Path(asked) if asked else Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"--log {folder}: the folder exists and is not empty; give another one")
    folder.mkdir(parents=True, exist_ok=True)
    return folder

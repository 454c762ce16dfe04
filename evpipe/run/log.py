"""What is told while something runs: the one place that sets the level, as text for people and JSON lines for programs.

A run's own lines go to stderr and, when asked for, to a folder with the run's record.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evpipe.errors import UsageError

if TYPE_CHECKING:
    from evpipe.graph.model import Graph
    from evpipe.run.options import Outcome

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
LEVEL_VARIABLE = "EVPIPE_LOG"
_CHILDREN = "EVPIPE_LOG_LISTENED"  # tells child processes the lowest level that anyone listens to

_ALL = logging.getLogger("evpipe")
_ALL.addHandler(logging.NullHandler())  # as a library evpipe prints nothing by itself
_RUN = logging.getLogger("evpipe.run")


def start_logging(verbose: int, *, quiet: bool, file: str | None) -> None:
    """Messages of evpipe's loggers go to stderr from a level on, and all of them to `file`: as JSON if it is a .jsonl.

    The level is that of EVPIPE_LOG (debug, info, warning, error; without it warning); `verbose` makes it debug, `quiet`
    error. Raises UsageError when the file cannot be written or the variable says something else.
    """
    level = logging.DEBUG if verbose else logging.ERROR if quiet else level_asked()
    console = logging.StreamHandler()
    console.setLevel(level)
    console.setFormatter(logging.Formatter("evpipe: %(message)s"))
    console.addFilter(lambda record: not getattr(record, "said", False))
    handlers: list[logging.Handler] = [console]
    if file is not None:
        handlers.append(_file(Path(file), "a", "%(asctime)s %(levelname)s %(message)s", "--log-file"))
        level = logging.DEBUG
    _ALL.handlers[:] = handlers
    _ALL.setLevel(logging.DEBUG)
    _ALL.propagate = False
    os.environ[_CHILDREN] = str(level)


def worker_logging(say: Callable[[str], None]) -> None:
    """In a worker: messages that someone listens to are handed to the supervisor by `say`."""
    _ALL.handlers[:] = [_Passing(say)]
    _ALL.setLevel(int(os.environ.get(_CHILDREN, logging.WARNING)))
    _ALL.propagate = False


def level_asked() -> int:
    """The level of EVPIPE_LOG. Raises UsageError when it is none of `LEVELS`."""
    asked = os.environ.get(LEVEL_VARIABLE) or "warning"
    if asked.lower() not in LEVELS:
        raise UsageError(f"{LEVEL_VARIABLE}={asked}: expected one of {', '.join(LEVELS)}")
    return LEVELS[asked.lower()]


class JsonLines(logging.Formatter):
    """A record as one JSON object: `time` (UTC, ISO 8601), `level`, `from` (the logger), `text`, `traceback` if any."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {"time": f"{seconds}.{int(record.msecs):03}Z", "level": record.levelname.lower(), "from": record.name}
        line["text"] = record.getMessage()
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class RunLog:
    """Lines to stderr and, with `folder` not None, to `folder`/log.txt and log.jsonl; the outcome to its run.json."""

    def __init__(self, folder: str | None, graph: Graph, quiet: bool = False) -> None:
        self._graph = graph
        self._quiet = quiet
        self._folder = None if folder is None else _new_folder(folder, graph.name)
        self._files: list[logging.Handler] = []
        if self._folder is not None:
            names = ("log.txt", "log.jsonl")
            self._files = [_file(self._folder / name, "w", "%(asctime)s %(message)s", "--log") for name in names]
        for handler in self._files:
            handler.setLevel(logging.INFO)
            _ALL.addHandler(handler)
        if self._files:
            os.environ[_CHILDREN] = str(min(logging.INFO, int(os.environ.get(_CHILDREN, logging.INFO))))
            if not _ALL.isEnabledFor(logging.INFO):
                _ALL.setLevel(logging.INFO)

    def say(self, text: str) -> None:
        """One line, or an error's paragraph."""
        error = text.startswith("error:")
        if error or not self._quiet:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
        _RUN.log(logging.ERROR if error else logging.INFO, "%s", text, extra={"said": True})

    def table(self, text: str) -> None:
        """The exit table."""
        self.say(text)

    def close(self, outcome: Outcome) -> None:
        """Write run.json."""
        for handler in self._files:
            _ALL.removeHandler(handler)
            handler.close()
        if self._folder is not None:
            record = _record(self._graph, outcome)
            (self._folder / "run.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _record(graph: Graph, outcome: Outcome) -> dict[str, Any]:
    import platform

    import msgspec

    import evpipe

    return {
        "evpipe": evpipe.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "graph": graph.path,
        "nodes": {n.id: {"use": n.use, "with": msgspec.to_builtins(n.params)} for n in graph.nodes},
        "exit_code": outcome.exit_code,
        "errors": [str(error) for error in outcome.errors],
        "summary": outcome.summary,
    }


class _File(logging.FileHandler):
    """A log file. A full disk ends the log, told once, not what is logged."""

    failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Writing failed."""
        if not self.failed:
            self.failed = True
            sys.stderr.write(f"{self.baseFilename}: the log cannot be written: {sys.exc_info()[1]}; going on without\n")


class _Passing(logging.Handler):
    """Hands lines on."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._say(self.format(record))


def _file(path: Path, mode: str, text: str, option: str) -> logging.Handler:
    try:
        handler = _File(path, mode, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{option} {path}: cannot be written: {error.strerror}; give another place") from error
    times = "%H:%M:%S" if mode == "w" else None  # a run's own log needs no date
    handler.setFormatter(JsonLines() if path.suffix == ".jsonl" else logging.Formatter(text, times))
    return handler


def _new_folder(asked: str, name: str) -> Path:
    folder = Path(asked) if asked else Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"--log {folder}: the folder exists and is not empty; give another one")
    folder.mkdir(parents=True, exist_ok=True)
    return folder

"""What is told and where: levels, text, JSON lines, messages of workers, a full disk. Each case
in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

START = """
import logging, os, sys
from evpipe.run.log import RunLog, start_logging, worker_logging
log = logging.getLogger("evpipe.some.place")
def speak():
    for level in ("debug", "info", "warning", "error"):
        getattr(log, level)("a word at %s", level)
"""
OUTCOME = """
import msgspec
from evpipe.graph.model import Graph
from evpipe.run.options import Outcome
graph = Graph(name="small", clock="fast", nodes=(), edges=())
outcome = Outcome({"app": "small"}, 0, [])
"""


def ran(code: str, tmp_path: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", START + code], capture_output=True, text=True, check=False, cwd=tmp_path, env=env
    )


@pytest.mark.parametrize(
    ("arguments", "env", "heard"),
    [
        ("0, quiet=False", {}, ["warning", "error"]),
        ("1, quiet=False", {}, ["debug", "info", "warning", "error"]),
        ("0, quiet=True", {}, ["error"]),
        ("0, quiet=False", {"EVPIPE_LOG": "info"}, ["info", "warning", "error"]),
        ("0, quiet=True", {"EVPIPE_LOG": "DEBUG"}, ["error"]),
    ],
)
def test_one_place_sets_the_level(tmp_path, arguments, env, heard):
    """-v, -q, else EVPIPE_LOG, else warnings; a worker passes on what is listened to, and no more."""
    told = ran(f"start_logging({arguments}, file=None); speak()", tmp_path, **env)
    assert told.stderr.splitlines() == [f"evpipe: a word at {level}" for level in heard]
    code = f"start_logging({arguments}, file=None); worker_logging(lambda text: print(text)); speak()"
    passed = ran(code, tmp_path, **env).stdout.splitlines()
    assert passed == [f"{level.upper()} evpipe.some.place: a word at {level}" for level in heard]


def test_a_level_that_is_none(tmp_path):
    """The variable, the value, what would do."""
    told = ran("start_logging(0, quiet=False, file=None)", tmp_path, EVPIPE_LOG="loud")
    assert "UsageError: EVPIPE_LOG=loud: expected one of debug, info, warning, error" in told.stderr


def test_a_log_file_gets_everything(tmp_path):
    """As text, or a JSON object a line with time, level, origin and traceback; appended to."""
    ran("start_logging(0, quiet=True, file='a.log'); speak()", tmp_path)
    assert [line.split(" ", 2)[2] for line in (tmp_path / "a.log").read_text().splitlines()] == [
        f"{level.upper()} a word at {level}" for level in ("debug", "info", "warning", "error")
    ]
    code = "start_logging(0, quiet=True, file='a.jsonl')\ntry: 1 / 0\nexcept ZeroDivisionError: log.exception('ä\\nb')"
    ran(code, tmp_path)
    ran("start_logging(0, quiet=True, file='a.jsonl'); speak()", tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert len(lines) == 5
    assert lines[0]["text"] == "ä\nb"
    assert "ZeroDivisionError: division by zero" in lines[0]["traceback"]
    assert lines[1] | {"level": "debug", "from": "evpipe.some.place", "text": "a word at debug"} == lines[1]
    assert lines[1]["time"][4] == "-"
    assert lines[1]["time"].endswith("Z")


def test_workers_are_asked_for_what_a_file_takes(tmp_path):
    """With a log file they pass on everything, whatever stderr shows."""
    code = "start_logging(0, quiet=True, file='a.log'); worker_logging(lambda text: print(text)); speak()"
    assert len(ran(code, tmp_path).stdout.splitlines()) == 4


def test_a_file_that_cannot_be_written(tmp_path):
    """Refused at the start; a disk that fills later is told once, and the program goes on."""
    told = ran("start_logging(0, quiet=False, file='no/a.log')", tmp_path)
    assert "UsageError: --log-file no/a.log: cannot be written: No such file or directory; give another" in told.stderr
    told = ran("start_logging(0, quiet=True, file='/dev/full'); speak(); speak(); print('on')", tmp_path)
    assert told.stdout == "on\n"
    assert told.stderr.splitlines() == [
        "/dev/full: the log cannot be written: [Errno 28] No space left on device; going on without",
        "evpipe: a word at error",
        "evpipe: a word at error",
    ]


def test_a_run_says_each_line_once(tmp_path):
    """To stderr as it is, to log.txt with the time, to log.jsonl with its level; warnings of evpipe stand between."""
    code = (
        "start_logging(0, quiet=False, file=None)\n"
        "log_of_run = RunLog('kept', graph); log_of_run.say('100% done'); speak(); log_of_run.say('error: all is lost')\n"  # noqa: E501
        "log_of_run.close(outcome); log.warning('after')"
    )
    told = ran(OUTCOME + code, tmp_path)
    assert told.stderr.splitlines() == [
        "100% done", "evpipe: a word at warning", "evpipe: a word at error", "error: all is lost", "evpipe: after"
    ]  # fmt: skip
    lines = (tmp_path / "kept" / "log.txt").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        "100% done", "a word at info", "a word at warning", "a word at error", "error: all is lost"
    ]  # fmt: skip
    found = [json.loads(line) for line in (tmp_path / "kept" / "log.jsonl").read_text().splitlines()]
    assert [(line["level"], line["from"]) for line in found] == [
        ("info", "evpipe.run"), ("info", "evpipe.some.place"), ("warning", "evpipe.some.place"),
        ("error", "evpipe.some.place"), ("error", "evpipe.run"),
    ]  # fmt: skip
    record = json.loads((tmp_path / "kept" / "run.json").read_text())
    assert (record["summary"], record["exit_code"], record["nodes"]) == ({"app": "small"}, 0, {})


def test_quiet_leaves_errors(tmp_path):
    """On stderr; without start_logging, as in a notebook, nothing is said twice, and a folder gets all the same."""
    code = "r = RunLog('kept', graph, quiet=True); r.say('well'); r.say('error: not well'); r.close(outcome)"
    told = ran(OUTCOME + code, tmp_path)
    assert told.stderr == "error: not well\n"
    assert len((tmp_path / "kept" / "log.txt").read_text().splitlines()) == 2


def test_it_is_light(tmp_path):
    """Setting the level loads neither numpy nor msgspec."""
    told = ran("print({'numpy', 'msgspec', 'zmq'} & sys.modules.keys())", tmp_path)
    assert told.stdout == "set()\n"

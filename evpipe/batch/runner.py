"""Runs recordings through a task's graph, one after the other, with everything that is slow to open kept open.

A heavy operator that can forget (`reset`) is opened once and lent to each run; any other is made anew each time.
"""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path
from typing import Any

import msgspec

from evpipe.batch.record import Record, as_json, kept, record_path, write
from evpipe.batch.recordings import Recording
from evpipe.batch.table import FORMS, Collect
from evpipe.batch.task import RESULTS, Task, file_hash, graph_of, specs_of
from evpipe.errors import EvpipeError
from evpipe.graph.model import Graph
from evpipe.operator import Context, Operator, Spec, spec_of
from evpipe.run.inline import run_inline
from evpipe.run.options import Options, Outcome

MOST_NOTES = 20


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a recording. `skipped`: its results were there; `replaced`: others were, of another graph or model.

    Host times in ms: `wall_ms` of all, `busy_ms` inside the graph's own nodes, decoding included, `hash_ms` for
    the key, `open_ms` to load what stays open.
    """

    record: Record
    skipped: bool = False
    replaced: bool = False
    wall_ms: float = 0.0
    busy_ms: float = 0.0
    hash_ms: float = 0.0
    open_ms: float = 0.0


class StoppedError(Exception):
    """This process was told to end while a recording was under way; nothing of it was written."""


class Runner:
    """One worker's operators. `run` never raises for what a recording or an operator does wrong."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._specs: dict[str, Spec] = {}
        self._lent: dict[str, _Lent] = {}
        self._scratch = Path(task.out) / ".part"

    def run(self, recording: Recording) -> Reply:
        """Take one recording through the graph and write its table and record. Raises StoppedError."""
        began = time.perf_counter()
        try:
            key = f"{file_hash(recording.path)}-{self.task.content}"
        except OSError as error:
            message = f"{recording.path}: cannot be read: {error.strerror}; check the file and its permissions"
            return self._failed(recording, "", message)
        hash_ms = _ms_since(began)
        record, replaced = kept(self.task.out, recording.name, key)
        if record is not None and not self.task.again:
            return Reply(record=record, skipped=True, hash_ms=hash_ms, wall_ms=_ms_since(began))
        opening = time.perf_counter()
        try:
            self._open()
        except EvpipeError as error:
            return self._failed(recording, key, str(error))
        except Exception as error:  # an operator may raise anything when it opens; it is this recording's message
            return self._failed(recording, key, f"{type(error).__name__}: {error}")
        open_ms = _ms_since(opening)
        try:
            record, outcome = self._through(recording, key)
        except OSError as error:
            text = f"cannot write to {self.task.out}: {error.strerror}; free space or choose another folder, call again"
            return self._failed(recording, key, text)
        busy_ms = sum(
            node["busy_share"] * outcome.summary["duration_s"] * 1e3
            for node in outcome.summary["nodes"]
            if node["id"] != RESULTS
        )
        return Reply(
            record=record,
            replaced=replaced,
            wall_ms=_ms_since(began),
            busy_ms=busy_ms,
            hash_ms=hash_ms,
            open_ms=open_ms,
        )

    def _open(self) -> None:
        """Open what stays open, the first time and after a failure."""
        if not self._specs:
            self._specs = specs_of(self.task)
            self._scratch.mkdir(parents=True, exist_ok=True)
        news = False
        for form in self.task.nodes:
            spec = self._specs[form.id]
            if form.id in self._lent or not _forgets(spec):
                continue
            params = {name: msgspec.convert(value, spec.params[name].type) for name, value in form.params.items()}
            operator = spec.make(params)
            operator.open()
            self._lent[form.id] = _lent(spec, operator)
            news = True
        if news:
            gc.collect()
            gc.freeze()  # models never become garbage; collections stay short

    def close(self) -> None:
        """Close what was kept open."""
        lent, self._lent = self._lent, {}
        for each in lent.values():
            each.operator.close()

    def _through(self, recording: Recording, key: str) -> tuple[Record, Outcome]:
        part = self._scratch / f"{os.getpid()}.table"
        collect = Collect()
        collect.table = FORMS[self.task.form](part)
        notes: list[str] = []
        specs = self._specs | self._lent
        graph = graph_of(self.task, recording.path, specs, _lent(spec_of(Collect), collect, plain=True))
        outcome = run_inline(graph, Options(), lambda text: None if text.startswith("error: ") else notes.append(text))
        collect.table.close()
        if not outcome.errors and outcome.exit_code:
            part.unlink()
            raise StoppedError
        status, message = _verdict(graph, outcome)
        if status == "failed":
            part.unlink()
            self._forget()
            return self._failed(recording, key, message).record, outcome
        table = f"tables/{recording.name}.{self.task.form}"
        record = _record(recording, key, table, collect, outcome, notes)
        record = msgspec.structs.replace(record, status=status, message=message, table_sha256=file_hash(str(part)))
        path = Path(self.task.out) / table
        path.parent.mkdir(parents=True, exist_ok=True)
        part.replace(path)
        write(record_path(self.task.out, recording.name), as_json(record), self._scratch)
        return record, outcome

    def _forget(self) -> None:
        """After a failure nothing is known of the operators: they are made anew."""
        for each in self._lent.values():
            try:
                each.operator.close()
            except Exception:  # noqa: S112 - the failure that led here is what is told
                continue
        self._lent = {}

    def _failed(self, recording: Recording, key: str, message: str) -> Reply:
        failed = Record(name=recording.name, status="failed", message=message, key=key, bytes=recording.size)
        return Reply(record=failed)


class _Lent(Spec, frozen=True, kw_only=True):
    """The spec of a node whose operator is there already; making it again gives the same one."""

    operator: Operator
    plain: bool = False

    def make(self, params: Any) -> Operator:
        """The operator, or a stand-in whose opening resets it and whose closing leaves it open."""
        return self.operator if self.plain else _Standing(self.operator)


class _Standing(Operator):
    """An open operator lent to one run."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self.ordered = operator.ordered
        for name in dir(operator):
            if name.startswith("on_"):
                setattr(self, name, getattr(operator, name))

    def open(self) -> None:
        """Begin afresh."""
        lent: Context = self.context
        self._operator.context = lent
        self._operator.reset()

    def reset(self) -> None:
        """Begin afresh."""
        self._operator.reset()


def _lent(spec: Spec, operator: Operator, plain: bool = False) -> _Lent:
    fields = {name: getattr(spec, name) for name in Spec.__struct_fields__}
    return _Lent(**fields, operator=operator, plain=plain)


def _forgets(spec: Spec) -> bool:
    """Whether an operator of this kind is used for one recording after another: dear to open, and it can forget all.

    Others are made anew, which costs little, so that nothing they count goes on from one recording to the next.
    """
    if not spec.trait("heavy", False):
        return False
    return getattr(spec.target, "reset", None) is not Operator.reset


def _verdict(graph: Graph, outcome: Outcome) -> tuple[str, str]:
    """Ok; damaged when only sources complained, after giving what they could; else failed."""
    if not outcome.errors:
        return "ok", ""
    message = str(outcome.errors[0])
    ended = outcome.started and all(edge["in_flight"] == 0 for edge in outcome.summary["edges"])
    sources = tuple(f"node '{node.id}': " for node in graph.nodes if node.spec.source)
    unharmed = all(type(error).exit_code == 3 and str(error).startswith(sources) for error in outcome.errors)
    lost = any("dead" in edge["dropped_by"] for edge in outcome.summary["edges"])
    return ("damaged" if ended and unharmed and not lost else "failed"), message


def _record(recording: Recording, key: str, table: str, collect: Collect, outcome: Outcome, notes: list[str]) -> Record:
    t0_us = collect.first_us or 0
    span_s = (collect.last_us - t0_us) / 1e6
    dropped = {
        f"{edge['from']}.{edge['port']} -> {edge['to']}": edge["dropped_by"]
        for edge in outcome.summary["edges"]
        if edge["dropped_by"]
    }
    results = dict(sorted(collect.results.items()))
    return Record(
        name=recording.name,
        status="ok",
        key=key,
        bytes=recording.size,
        table=table,
        rows=collect.rows,
        t0_us=t0_us,
        t1_us=collect.last_us,
        events=collect.events,
        frames=collect.frames,
        lost_events=collect.lost_events,
        events_per_s=_rate(collect.events, span_s),
        results=results,
        results_per_s={port: _rate(count, span_s) for port, count in results.items()},
        dropped=dropped,
        notes=notes[:MOST_NOTES],
        more_notes=max(0, len(notes) - MOST_NOTES),
    )


def _rate(count: int, span_s: float) -> float:
    return round(count / span_s, 3) if span_s > 0 else 0.0


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1e3

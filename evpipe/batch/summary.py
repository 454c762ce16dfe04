"""The batch in figures: summary.json and summary.csv, of sensor time and counts only, equal for equal inputs."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from csv import writer
from typing import Any

import msgspec

from evpipe.batch.record import Record


def totals(records: Sequence[Record]) -> dict[str, Any]:
    """Counts over all recordings."""
    results: dict[str, int] = {}
    for record in records:
        for port, count in record.results.items():
            results[port] = results.get(port, 0) + count
    return {
        "recordings": len(records),
        **{status: sum(record.status == status for record in records) for status in ("ok", "damaged", "failed")},
        "events": sum(record.events for record in records),
        "frames": sum(record.frames for record in records),
        "lost_events": sum(record.lost_events for record in records),
        "dropped_packets": sum(dropped_packets(record) for record in records),
        "rows": sum(record.rows for record in records),
        "results": dict(sorted(results.items())),
        "sensor_s": round(sum(record.t1_us - record.t0_us for record in records) / 1e6, 6),
    }


def summary(app: str, version: str, content: str, records: Sequence[Record], paths: Mapping[str, str]) -> Any:
    """The content of summary.json: failures first, then by name."""
    rows = [msgspec.to_builtins(record) | {"path": paths[record.name]} for record in failures_first(records)]
    return {"app": app, "evpipe": version, "content": content, "totals": totals(records), "recordings": rows}


def as_csv(records: Sequence[Record], paths: Mapping[str, str]) -> bytes:
    """The content of summary.csv: a row for each recording."""
    ports = sorted({port for record in records for port in record.results})
    text = io.StringIO()
    table = writer(text, lineterminator="\n")
    head = ["name", "status", "path", "bytes", "t0_us", "t1_us", "events", "events_per_s", "frames", "lost_events"]
    table.writerow([*head, "dropped_packets", "rows", *ports, *[f"{port}_per_s" for port in ports], "table", "message"])
    for record in failures_first(records):
        row = [record.name, record.status, paths[record.name], record.bytes, record.t0_us, record.t1_us, record.events]
        row += [record.events_per_s, record.frames, record.lost_events, dropped_packets(record), record.rows]
        row += [record.results.get(port, 0) for port in ports]
        row += [record.results_per_s.get(port, 0.0) for port in ports]
        table.writerow([*row, record.table, record.message])
    return text.getvalue().encode()


def dropped_packets(record: Record) -> int:
    """Packets dropped on all edges."""
    return sum(count for reasons in record.dropped.values() for count in reasons.values())


def failures_first(records: Sequence[Record]) -> list[Record]:
    """Failed, damaged, then whole ones, each by name."""
    order = ("failed", "damaged", "ok")
    return sorted(records, key=lambda record: (order.index(record.status), record.name))

"""What is known of one recording that went through: kept as a file of its own, by which a later call knows it is done.

A record holds sensor time and counts only, no host time, so equal inputs give equal bytes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import msgspec

from evpipe.batch.task import file_hash

Status = Literal["ok", "damaged", "failed"]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One recording: `status` "damaged" has the table of what could be read, "failed" has none.

    `key` is the hash of recording and task (empty when the file could not be read); `table` lies under the output
    folder, with its hash; times in us of sensor time, rates per second of it; `dropped` is edge -> reason -> packets;
    `notes` are what nodes said.
    """

    name: str
    status: Status
    message: str = ""
    key: str = ""
    bytes: int = 0
    table: str = ""
    table_sha256: str = ""
    rows: int = 0
    t0_us: int = 0
    t1_us: int = 0
    events: int = 0
    frames: int = 0
    lost_events: int = 0
    events_per_s: float = 0.0
    results: dict[str, int] = {}
    results_per_s: dict[str, float] = {}
    dropped: dict[str, dict[str, int]] = {}
    notes: list[str] = []
    more_notes: int = 0


def record_path(out: str, name: str) -> Path:
    """The record's file."""
    return Path(out) / "records" / f"{name}.json"


def kept(out: str, name: str, key: str) -> tuple[Record | None, bool]:
    """The record of this very work, whole and with its table; and whether there was one of another key.

    Recordings that failed are not kept: the reason may be gone.
    """
    path = record_path(out, name)
    try:
        record = msgspec.json.decode(path.read_bytes(), type=Record)
    except FileNotFoundError:
        return None, False
    except msgspec.DecodeError:
        return None, True
    if record.key != key or record.status != "ok":
        return None, record.key not in (key, "")
    try:
        whole = file_hash(os.path.join(out, record.table)) == record.table_sha256
    except FileNotFoundError:
        whole = False
    return (record if whole else None), False


def discard(out: str, name: str) -> None:
    """Take away what an earlier call wrote under this name: a recording that failed has no table."""
    path = record_path(out, name)
    try:
        record = msgspec.json.decode(path.read_bytes(), type=Record)
    except FileNotFoundError:
        return
    except msgspec.DecodeError:
        record = Record(name=name, status="failed")
    if record.table:
        (Path(out) / record.table).unlink(missing_ok=True)
    path.unlink()


def as_json(value: Any) -> bytes:
    """Indented JSON with a fixed order of keys."""
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def write(path: Path, data: bytes, scratch: Path) -> None:
    """Write a whole file or none: to `scratch`, then renamed. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = scratch / f"{os.getpid()}.part"
    part.write_bytes(data)
    part.replace(path)

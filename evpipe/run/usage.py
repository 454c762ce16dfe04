"""Processor time and memory of a process, as /proc tells them; elsewhere nothing is known."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Usage(NamedTuple):
    """Processor time so far, and bytes in memory: the process's own, and those it shares with others (packets)."""

    cpu_s: float
    own_bytes: int
    shared_bytes: int


def usage(pid: int) -> Usage | None:
    """The figures of a process; None when it is gone, or the system has no /proc."""
    try:
        # The name, in brackets, may hold anything: fields are counted from behind it.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text("utf-8", "replace")
    except OSError:
        return None
    rows = [line.partition(":") for line in status.splitlines()]
    kib = {name: int(value.split()[0]) for name, _, value in rows if name.startswith("Rss")}
    ticks = int(fields[11]) + int(fields[12])  # user and system time
    own = (kib.get("RssAnon", 0) + kib.get("RssFile", 0)) * 1024
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), own, kib.get("RssShmem", 0) * 1024)

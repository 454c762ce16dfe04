"""Tells a worker that hangs from one that waits, and says where it hangs.

A worker's loop beats at least every 100 ms, also while it waits for room or stands paused; it does not while an
operator's handler runs. A process stopped by a signal (state T) is paused, not hung.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from evpipe.graph.model import Graph
from evpipe.link.account import Ledger
from evpipe.run.child import Child

FIRST_FACTOR = 6
"""So much longer may a node's first packet take: kernels are compiled for it, models loaded."""

_DUMP_S = 0.5


class Watchdog:
    """Looks at the beats of all workers."""

    def __init__(self, graph: Graph, ledger: Ledger, limit_s: float) -> None:
        self._graph, self._ledger, self._limit_s = graph, ledger, limit_s

    def hung(self, child: Child) -> str | None:
        """What hangs and where, with the worker's stacks; None while it is well. Waits for the stacks up to 0.5 s."""
        beat_ns = self._ledger.beats[child.index]
        silent_s = (time.monotonic_ns() - beat_ns) / 1e9
        if not beat_ns or silent_s < self._limit_s or is_stopped(child.process.pid):
            return None
        inside = [
            (account.entered_ns, node, account)
            for node, account in zip(self._graph.nodes, self._ledger.nodes, strict=True)
            if node.id in child.worker.nodes and account.entered_ns
        ]
        if not inside:
            return None  # it is closing, or between two handlers: its end has a deadline of its own
        _, node, account = max(inside, key=lambda one: one[0])
        if not account.total.packets and silent_s < self._limit_s * FIRST_FACTOR:
            return None
        return f"node '{node.id}' hangs: nothing heard of worker {child.name} for {silent_s:.0f} s.\n{_stacks(child)}"


def is_stopped(pid: int) -> bool:
    """Whether a process stands still by SIGSTOP."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _stacks(child: Child) -> str:
    """Where each thread of the worker is, innermost line first."""
    child.process.send_signal(signal.SIGUSR1)
    deadline = time.monotonic() + _DUMP_S
    text = ""
    while time.monotonic() < deadline and not text:
        time.sleep(0.05)
        text = os.pread(child.dump_fd, 64 * 1024, 0).decode("utf-8", "replace")
    return text.rstrip() or "It gave no stack either."

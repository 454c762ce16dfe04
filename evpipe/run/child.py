"""A worker process as its supervisor knows it: started, heard, watched."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from evpipe.graph.model import Graph
from evpipe.graph.plan import Worker
from evpipe.run.control import Line, Ready
from evpipe.run.parent import die_with_parent


class Child:
    """A worker process and what is known of it."""

    def __init__(self, worker: Worker, index: int, process: subprocess.Popen[bytes], line: Line, dump_fd: int) -> None:
        self.worker, self.index, self.process, self.line, self.dump_fd = worker, index, process, line, dump_fd
        self.name = worker.name
        self.ready: Ready | None = None
        self.done = False
        self.hung = ""
        self.generation = 0
        self.awaited: set[str] = set()
        """Workers that have not closed the books with this one's dead process yet; it begins when they have."""
        self.gone = False
        self.failed = False

    def close(self) -> None:
        """Give back what belongs to it."""
        self.line.socket.close()
        os.close(self.dump_fd)

    @property
    def nodes(self) -> str:
        """Its nodes, for people."""
        return ", ".join(self.worker.nodes)


def peer_name(worker: str, generation: int) -> bytes:
    """What the sockets of a worker call themselves; another name after each restart."""
    return f"{worker}#{generation}".encode()


def spawn(graph: Graph, worker: Worker, index: int, fds: Iterable[int]) -> Child:
    """Start the `index`-th worker of the plan.

    Only the supervisor's main thread may: a worker dies with the thread that made it.
    """
    ours, theirs = socket.socketpair()
    dump_fd = os.memfd_create("evpipe-stacks")
    process = subprocess.Popen(
        [sys.executable, "-m", "evpipe.run.worker", str(theirs.fileno()), str(dump_fd)],
        pass_fds=[theirs.fileno(), dump_fd, *fds],
        env=os.environ | _thread_settings(graph, worker),
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno() if _has_fileno(sys.stderr) else None,
        start_new_session=True,
        preexec_fn=die_with_parent(),  # noqa: PLW1509 - the supervisor has one thread
    )
    theirs.close()
    return Child(worker, index, process, Line(ours), dump_fd)


def _thread_settings(graph: Graph, worker: Worker) -> dict[str, str]:
    """Compute threads of a worker: the most that one of its nodes asks for; set before any library loads."""
    threads = max([int(graph.node(node).params.get("threads", 1)) for node in worker.nodes], default=1)
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    return dict.fromkeys(names, str(threads))


def _has_fileno(stream: Any) -> bool:
    try:
        stream.fileno()
    except (AttributeError, OSError):
        return False
    return True

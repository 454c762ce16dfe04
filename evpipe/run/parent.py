"""Ties a child process to the one that starts it: after any death of the parent, SIGKILL included, nothing is left."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

from evpipe.errors import WorkerError

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> Callable[[], None]:
    """What a child calls before exec. Linux ties it to the thread that spawned: start children from the main thread."""
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    parent = os.getpid()

    def before_exec() -> None:
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # If the parent died before the call took effect, the child leaves at once.
        if os.getppid() != parent:
            os._exit(WorkerError.exit_code)

    return before_exec

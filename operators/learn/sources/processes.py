"""A function over many items in several processes, results in the items' order whatever their number."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import TypeVar

from evpipe.errors import WorkerError

T = TypeVar("T")
R = TypeVar("R")


def over(function: Callable[[T], R], items: Sequence[T], jobs: int) -> Iterator[R]:
    """`function` of each item, in order; with `jobs` > 1 in so many spawned processes, which end with this one.

    What the function raises is raised here, and nothing more is begun. Raises WorkerError when a process dies.
    """
    jobs = min(jobs, len(items))
    if jobs < 2:
        yield from map(function, items)
        return
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_end_with_parent)
    try:
        yield from pool.map(function, items, chunksize=max(1, min(32, len(items) // (8 * jobs))))
    except BrokenProcessPool:
        raise WorkerError(
            "a process that made clips died, most likely for want of memory; run again with fewer jobs"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """Have this process end when the one that started it is gone: a killed parent cannot tell its pool to stop."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

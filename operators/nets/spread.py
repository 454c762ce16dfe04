"""Compiled loops over the samples of a batch on as many threads as torch computes with."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "kernels")


def spread(part: Callable[[int, int], None], samples: int) -> None:
    """Call `part(i, j)` for slices that make up all samples; `part` must leave Python's lock to run side by side."""
    threads = min(torch.get_num_threads(), samples)
    cuts = [samples * k // threads for k in range(threads + 1)]
    waiting = [_pool(threads).submit(part, cuts[k], cuts[k + 1]) for k in range(1, threads)]
    part(cuts[0], cuts[1])
    for future in waiting:
        future.result()

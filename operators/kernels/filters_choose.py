"""Taking out the events that a filter keeps, in one pass over all columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

_TIMES = types.Array(types.int64, 1, "C", readonly=True)
_COLUMN_U16 = types.Array(types.uint16, 1, "C", readonly=True)
_COLUMN_U8 = types.Array(types.uint8, 1, "C", readonly=True)


@njit(
    types.Tuple((types.int64[::1], types.uint16[::1], types.uint16[::1], types.uint8[::1]))(  # type: ignore[no-untyped-call]
        _TIMES, _COLUMN_U16, _COLUMN_U16, _COLUMN_U8, _COLUMN_U8, types.int64
    ),
    cache=True,
    nogil=True,
)
def choose(t: Any, x: Any, y: Any, p: Any, keep: Any, count: int) -> tuple[Any, Any, Any, Any]:
    """The events whose `keep` uint8 [N] is 1 (else 0), in order; `count` is how many those are."""
    # One place more than needed: each event is written where the next kept one goes, so that nothing branches.
    t_out, x_out = np.empty(count + 1, np.int64), np.empty(count + 1, np.uint16)
    y_out, p_out = np.empty(count + 1, np.uint16), np.empty(count + 1, np.uint8)
    at = 0
    for i in range(len(t)):
        t_out[at], x_out[at], y_out[at], p_out[at] = t[i], x[i], y[i], p[i]
        at += keep[i]
        if at > count:
            break
    return t_out[:count], x_out[:count], y_out[:count], p_out[:count]

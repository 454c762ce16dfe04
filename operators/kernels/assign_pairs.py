"""The cheapest one-to-one pairing of rows and columns: the inner loop of the tracker.

The shortest augmenting path form of the Hungarian method (Jonker and Volgenant, "A shortest augmenting path algorithm
for dense and sparse linear assignment problems", 1987): exact, cubic in the smaller side.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@njit(cache=True, nogil=True)
def assign_pairs(cost: F64) -> I64:
    """The column of each row in the pairing of least total cost, -1 for rows without one.

    `cost` float64 [R, C], finite. Each of min(R, C) rows gets a column of its own.
    """
    rows, columns = cost.shape
    if rows > columns:
        turned = assign_pairs(np.ascontiguousarray(cost.T))
        found = np.full(rows, -1, np.int64)
        for j in range(columns):
            found[turned[j]] = j
        return found
    u, v = np.zeros(rows + 1), np.zeros(columns + 1)
    owner = np.zeros(columns + 1, np.int64)  # the row (from 1) of each column (from 1); 0 none
    for row in range(1, rows + 1):
        before = np.zeros(columns + 1, np.int64)
        least = np.full(columns + 1, np.inf)
        done = np.zeros(columns + 1, np.bool_)
        owner[0] = row
        at = 0
        while owner[at] != 0:
            done[at] = True
            i, step, following = owner[at], np.inf, 0
            for j in range(1, columns + 1):
                if not done[j]:
                    reduced = cost[i - 1, j - 1] - u[i] - v[j]
                    if reduced < least[j]:
                        least[j], before[j] = reduced, at
                    if least[j] < step:
                        step, following = least[j], j
            for j in range(columns + 1):
                if done[j]:
                    u[owner[j]] += step
                    v[j] -= step
                else:
                    least[j] -= step
            at = following
        while at != 0:
            owner[at] = owner[before[at]]
            at = before[at]
    found = np.full(rows, -1, np.int64)
    for j in range(1, columns + 1):
        if owner[j] > 0:
            found[owner[j] - 1] = j - 1
    return found

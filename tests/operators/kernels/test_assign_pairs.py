"""The assignment is the cheapest there is: against every permutation, for all small shapes."""

from itertools import permutations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.kernels.assign_pairs import assign_pairs


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**31))
def test_cheapest_of_all(rows, columns, seed):
    """Total cost equals the best by brute force; columns are used once; min(R, C) rows get one."""
    cost = np.random.default_rng(seed).choice([0.0, 0.1, 0.5, 1.0, 3.0, 1e6], (rows, columns))
    found = assign_pairs(cost)
    used = found[found >= 0]
    assert len(set(used)) == len(used) == min(rows, columns)
    total = sum(cost[i, j] for i, j in enumerate(found) if j >= 0)
    wide = cost if rows <= columns else cost.T
    best = min(sum(wide[i, j] for i, j in enumerate(p)) for p in permutations(range(wide.shape[1]), wide.shape[0]))
    np.testing.assert_allclose(total, best, rtol=1e-9)


def test_nothing_to_assign():
    """No rows, no columns: no pairs."""
    assert len(assign_pairs(np.zeros((0, 3)))) == 0
    assert list(assign_pairs(np.zeros((2, 0)))) == [-1, -1]

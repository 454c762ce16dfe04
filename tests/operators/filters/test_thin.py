"""Fewer events by chance and by counting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.filters.thin import Decimate, Drop

M = 2**64 - 1


def mixed(z: int) -> int:
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & M
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & M
    return z ^ (z >> 31)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_drop_equals_plain_python_however_cut(kit, data) -> None:
    share, seed = data.draw(st.floats(0, 1)), data.draw(st.integers(0, 2**63 - 1))

    def oracle(rows):
        return [
            (t, x, y, p)
            for t, x, y, p in rows
            if mixed(mixed((seed + 0x9E3779B97F4A7C15 * t) & M) ^ (x | y << 16 | p << 32)) >> 11 >= int(share * 2.0**53)
        ]

    kit.agrees(lambda: Drop(share, seed), oracle, data, few=data.draw(st.booleans()))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_is_what_was_asked_for(kit, share) -> None:
    rng = np.random.default_rng(1)
    rows = np.stack([np.arange(20_000), *(rng.integers(0, top, 20_000) for top in (6, 5, 2))], 1)
    left = len(kit.passed(Drop(share), [kit.packet(rows.tolist())])) / len(rows)
    assert abs(left - (1 - share)) < (0.012 if 0 < share < 1 else 1e-9)


@settings(deadline=None, max_examples=60)
@given(st.data())
@pytest.mark.parametrize("of_each", ["stream", "pixel"])
def test_decimate_equals_plain_python_however_cut(kit, of_each, data) -> None:
    every = data.draw(st.integers(1, 6))

    def oracle(rows):
        if of_each == "stream":
            return rows[::every]
        count, found = {}, []
        for row in kit.inside(rows):
            count[row[1:3]] = count.get(row[1:3], -1) + 1
            if count[row[1:3]] % every == 0:
                found.append(row)
        return found

    kit.agrees(lambda: Decimate(every, of_each), oracle, data, few=data.draw(st.booleans()))

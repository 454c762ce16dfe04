"""One polarity, or both exchanged."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.filters.polarity import Polarity, invert


@settings(deadline=None, max_examples=30)
@given(st.data())
@pytest.mark.parametrize(("keep", "wanted"), [("on", 1), ("off", 0)])
def test_equal_to_plain_python_however_cut(kit, keep, wanted, data) -> None:
    kit.agrees(lambda: Polarity(keep), lambda rows: [row for row in rows if row[3] == wanted], data)


def test_any_value_but_0_is_brighter(kit) -> None:
    packet = kit.packet([(0, 1, 1, 1), (1, 2, 2, 0)])
    packet = msgspec.structs.replace(packet, p=np.array([7, 0], np.uint8))
    assert len(Polarity("on").on_events(packet)) == 1
    assert invert(packet).p.tolist() == [0, 1]
    assert invert(packet).p.dtype == np.uint8


def test_all_that_pass_are_not_copied(kit) -> None:
    packet = kit.packet([(0, 1, 1, 1), (1, 2, 2, 1)])
    assert Polarity("on").on_events(packet) is packet

"""The shipped model, fed by the simulator through the very operators of the live graph."""

import time

import numpy as np
import pytest

from operators.ta_snn import Classify
from operators.temporal_bin import TemporalBin
from sensors.simulated import SimulatedCamera


@pytest.mark.parametrize("action", ["jumping_jack", "walk", "stand"])
def test_actions_of_a_person_never_seen_are_told(action: str) -> None:
    """Most windows of two seconds are answered right, idleness included."""
    from evpipe.packets import Events

    camera = SimulatedCamera(seed=0, subject=120, action=action, duration_us=2_000_000)
    bins, har = TemporalBin(), Classify()
    for node in (camera, bins, har):
        node.open()
    answers = [
        har.on_tensor(tensor).best[0]
        for packet in camera.stream()
        if isinstance(packet, Events)
        for tensor in bins.on_events(packet)
    ]
    assert len(answers) == 26
    assert answers.count(action) > 13


def test_time_of_a_decision(record_property) -> None:
    """A decision costs a few milliseconds of one core; the bound is loose because other work may share it."""
    har = Classify()
    har.open()
    rng = np.random.default_rng(0)
    from evpipe.packets import Tensor

    frames = rng.poisson(0.2, (120, 2, 32, 32)).astype(np.float32)
    spent = []
    for first in range(0, 104, 2):
        edges = 30_000 * np.arange(first, first + 17, dtype=np.int64)
        window = Tensor(t0_us=0, t1_us=480_000, values=frames[first : first + 16], axes="TPHW", edges_us=edges)
        start = time.process_time()
        har.on_tensor(window)
        spent.append(time.process_time() - start)
    record_property("ms_per_decision", 1e3 * float(np.median(spent)))
    assert np.median(spent) < 0.025

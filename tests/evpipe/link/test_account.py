"""Accounts live in memory that outlives their writers."""

from __future__ import annotations

import os

import pytest

from evpipe.link.account import Ledger


def test_counters_are_shared_through_the_descriptor():
    """What one process writes another reads, also after the writer died."""
    fd = Ledger.memory(2, 1, 1)
    ours = Ledger(2, 1, 1, fd)
    if os.fork() == 0:
        theirs = Ledger(2, 1, 1, fd)
        for _ in range(10):
            theirs.edges[1].sent(5)
        theirs.edges[1].received(5, 2_000_000)
        theirs.nodes[0].handled(5, 1_000_000)
        os.kill(os.getpid(), 9)
    os.wait()
    edge = ours.edges[1]
    assert (edge.total_sent.packets, edge.total_sent.events) == (10, 50)
    assert edge.in_flight.packets == 10
    assert ours.edges[0].total_sent.packets == 0
    assert ours.nodes[0].busy_ns == 1_000_000
    lost = edge.settle_death()
    assert (lost.packets, lost.events) == (9, 45)
    assert edge.balanced
    assert edge.dropped_by["dead"].packets == 9
    os.close(fd)


def test_quantiles_are_upper_bounds_within_nine_percent():
    """Ages fall in bins of an eighth of an octave; a quantile is the upper edge of its bin."""
    edge = Ledger(1, 0).edges[0]
    assert edge.age_ms(0.5) is None
    for ms in range(1, 101):
        edge.received(0, ms * 1_000_000)
    for share, exact in ((0.5, 50), (0.99, 99)):
        assert exact <= edge.age_ms(share) <= exact * 1.1
    edge.received(0, 10**18)
    assert edge.age_ms(1.0) == pytest.approx(2**32 / 1000)


def test_an_account_reads_as_a_sentence():
    """For the error that an unbalanced account is."""
    edge = Ledger(1, 0).edges[0]
    edge.sent(3)
    assert str(edge) == (
        "sent 1 packets (3 events), received 0 packets (0 events), dropped 0 packets (0 events), "
        "in flight 1 packets (3 events)"
    )

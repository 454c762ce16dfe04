"""One edge's queue: policies, gaps and accounts, driven by random operations."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.link.account import Ledger
from evpipe.link.policy import KEEP_UP, LOSSLESS, NEWEST, Policy, effective
from evpipe.link.queue import EdgeQueue, Item

MS = 1_000_000


def queue(policy: Policy, clock: str = "live") -> tuple[EdgeQueue, list[object]]:
    released: list[object] = []
    return EdgeQueue("a.b -> c", policy, clock, Ledger(1, 0).edges[0], released.append), released


def item(k: int, born_ns: int = 0, nbytes: int = 100, epoch: int = 0) -> Item:
    return Item(k * 10, k * 10 + 10, k, nbytes, born_ns, payload=k, epoch=epoch)


@given(
    policy=st.sampled_from([KEEP_UP, NEWEST, LOSSLESS, Policy(kind="keep_up", depth=2, max_age_us=3000)]),
    clock=st.sampled_from(["live", "fast"]),
    steps=st.lists(st.sampled_from(["put", "next", "done", "mark", "tick", "die", "seek"]), max_size=80),
)
@settings(deadline=None, max_examples=300)
def test_accounts_balance_whatever_happens(policy, clock, steps):
    """After any sequence: sent = received + dropped + in flight; order is kept; every gap is told exactly."""
    edge, released = queue(policy, clock)
    now, number, on_the_way, got, gaps, epoch = 0, 0, [], [], 0, 0
    for step in steps:
        if step == "put" and not edge.full:
            number += 1
            edge.put(item(number, now, epoch=epoch), now)
        elif step == "mark":
            edge.mark("watermark", number * 10, epoch)
        elif step == "next" and (message := edge.next(now)) is not None:
            on_the_way.append(message)
            assert len(on_the_way) <= 16
        elif step == "done" and on_the_way:
            n, what, gap = on_the_way.pop(0)
            if gap is not None:
                assert gap.count > 0
                gaps += gap.count
            if not what.mark and what.epoch < epoch:
                edge.account.stale(what.events)
            elif not what.mark:
                got.append(what.payload)
                edge.account.received(what.events, 0)
            edge.done(n)
        elif step == "seek":
            epoch += 1
            edge.forget(epoch)
            assert not len(edge)
        elif step == "tick":
            now += 2 * MS
        elif step == "die":
            edge.die()
            on_the_way.clear()
        assert edge.account.balanced, str(edge.account)
    assert got == sorted(got)
    assert edge.account.total_received.packets == len(got)
    dropped = edge.account.total_dropped.packets
    assert gaps <= dropped
    assert len(set(released)) == len(released)
    if policy.kind == "lossless" and not edge.dead:
        assert edge.account.dropped_by.keys() <= {"seek"}


def test_newest_keeps_one():
    """Of five packets that wait only the last goes, preceded by a gap of four."""
    edge, _ = queue(NEWEST)
    for k in range(1, 6):
        edge.put(item(k), 0)
    number, sent, gap = edge.next(0)
    assert sent.payload == 5
    assert (gap.reason, gap.count, gap.events, gap.t0_us, gap.t1_us) == ("depth", 4, 10, 10, 50)
    edge.put(item(6), 0)
    assert edge.next(0) is None  # one credit: nothing until the first is done
    edge.done(number)
    assert edge.next(0)[1].payload == 6


def test_keep_up_sheds_by_age_and_depth():
    """Nothing older than max_age is sent, nothing deeper than depth waits; the oldest go first."""
    edge, released = queue(Policy(kind="keep_up", max_age_us=10_000, depth=3))
    for k in range(1, 6):
        edge.put(item(k, born_ns=k * MS), k * MS)
    assert released == [1, 2]
    assert edge.next(14 * MS)[1].payload == 4
    assert edge.account.dropped_by.keys() == {"depth", "age"}


def test_marks_stay_when_packets_go():
    """Shedding never loses the end of a stream, and a watermark that still waits is replaced by the next."""
    edge, _ = queue(Policy(kind="keep_up", depth=1))
    edge.put(item(1), 0)
    edge.mark("watermark", 10, 0)
    edge.mark("watermark", 20, 0)
    edge.put(item(2), 0)
    edge.mark("end", 30, 0)
    seen = []
    while (message := edge.next(0)) is not None:
        seen.append((message[1].mark, message[1].t1_us, message[1].payload))
        edge.done(message[0])
    assert seen == [("watermark", 20, None), ("", 30, 2), ("end", 30, None)]
    assert edge.idle


def test_a_full_live_buffer_warns_and_then_ends_the_run():
    """At half the buffer a warning with numbers, beyond it a RecorderError naming the edge."""
    edge, _ = queue(Policy(kind="lossless", buffer=10 * 2**20))
    for k in range(6):
        edge.put(item(k, nbytes=2**20), 0)
    assert edge.warnings == ["a.b -> c is falling behind: 6 MiB of its buffer of 10 MiB wait to be taken"]
    for k in range(4):
        edge.put(item(k, nbytes=2**20), 0)
    assert edge.failure is None
    edge.put(item(9, nbytes=2**20), 0)
    assert "a.b -> c: its buffer of 10 MiB is full, 11 packets wait" in str(edge.failure)


def test_a_lossless_replay_edge_fills_and_empties():
    """Its producer must wait at 16 waiting packets, and may go on as soon as one has left."""
    edge, _ = queue(LOSSLESS, "fast")
    k = 0
    while not edge.full:
        edge.put(item(k), 0)
        k += 1
    assert k == 16
    edge.next(0)
    assert not edge.full


@pytest.mark.parametrize(
    ("asked", "clock", "sink", "events", "expected"),
    [
        (None, "live", "", True, "keep_up"),
        (None, "replay", "", True, "lossless"),
        (None, "fast", "", True, "lossless"),
        (NEWEST, "replay", "", True, "newest"),
        (NEWEST, "fast", "", True, "lossless"),
        (None, "live", "recorder", True, "lossless"),
        (NEWEST, "live", "recorder", True, "lossless"),
        (None, "fast", "window", True, "keep_up"),
        (None, "live", "window", False, "newest"),
        (LOSSLESS, "live", "window", False, "lossless"),
    ],
)
def test_defaults(asked, clock, sink, events, expected):
    """Live keeps up, replay and fast lose nothing, recorders never do, windows never hold anything up."""
    assert effective(asked, clock, sink, events).kind == expected

"""The books of a run: for each edge and node, counters in memory that outlives the process that writes them.

Every counter is an int64 with a single writer, so no lock is needed and a killed worker's figures stay readable.
"""

from __future__ import annotations

import math
import mmap
import os

import msgspec

REASONS = ("age", "depth", "seek", "dead", "error", "late", "full")

GUESTS = 16
"""Rows of accounts beyond those of a graph's edges, for taps that come and go."""

_SENT, _RECEIVED, _FLIGHT, _DROPPED = 0, 2, 4, 6  # each in packets, then in events
_STALE = _DROPPED + 2 * len(REASONS)  # reason `seek`, found by the consumer: each counter has a single writer
_HISTOGRAM = _STALE + 2
_BINS = 256  # eight to an octave from 1 us: a quantile is at most 9 % above the true one
EDGE_CELLS = _HISTOGRAM + _BINS

_PACKETS, _EVENTS, _BUSY_NS, _ENTERED_NS, _ZERO_US, _POSITION_US, _EPOCH = range(7)
_SERVICE = 7
NODE_CELLS = _SERVICE + _BINS


class Count(msgspec.Struct, frozen=True):
    """Packets, and the events in them."""

    packets: int
    events: int


def _bin(ns: int) -> int:
    return 0 if ns < 1000 else min(int(8 * math.log2(ns / 1000)), _BINS - 1)


def _quantile(bins: list[int], share: float) -> float | None:
    """Upper edge, in ms, of the bin that holds this share of the counts; None without counts."""
    wanted, seen = share * sum(bins), 0
    for index, count in enumerate(bins):
        seen += count
        if seen and seen >= wanted:
            return float(2 ** ((index + 1) / 8) / 1000)
    return None


class _Cells:
    """A row of counters."""

    def __init__(self, cells: memoryview) -> None:
        self._cells = cells

    def _pair(self, at: int) -> Count:
        return Count(self._cells[at], self._cells[at + 1])

    def _add(self, at: int, packets: int, events: int) -> None:
        self._cells[at] += packets
        self._cells[at + 1] += events


class EdgeAccount(_Cells):
    """sent = received + dropped (by reason) + in flight, in packets and in events, for one edge."""

    def sent(self, events: int) -> None:
        """The producer handed a packet to the edge. It is in flight from now on."""
        self._add(_SENT, 1, events)
        self._add(_FLIGHT, 1, events)

    def landed(self, events: int) -> None:
        """The producer learned that the consumer is done with a packet."""
        self._add(_FLIGHT, -1, -events)

    def dropped(self, reason: str, packets: int, events: int) -> None:
        """The producer let packets go."""
        self._add(_DROPPED + 2 * REASONS.index(reason), packets, events)
        self._add(_FLIGHT, -packets, -events)

    def refused(self, events: int) -> None:
        """The consumer's handler raised and its node skips errors; the packet stays in flight until landed."""
        self._add(_DROPPED + 2 * REASONS.index("error"), 1, events)

    def stale(self, events: int) -> None:
        """The consumer let a packet of before a seek go; it stays in flight until landed."""
        self._add(_STALE, 1, events)

    def received(self, events: int, age_ns: int) -> None:
        """The consumer's handler returned; `age_ns` is how old the packet was when it entered."""
        self._add(_RECEIVED, 1, events)
        self._cells[_HISTOGRAM + _bin(age_ns)] += 1

    def settle_death(self) -> Count:
        """One end died: what was in flight is counted as dropped, reason `dead`. Returns how much that was."""
        lost = [self._cells[_SENT + k] - self._cells[_RECEIVED + k] - sum(self._dropped_cells(k)) for k in (0, 1)]
        self._add(_DROPPED + 2 * REASONS.index("dead"), lost[0], lost[1])
        self._cells[_FLIGHT] = self._cells[_FLIGHT + 1] = 0
        return Count(*lost)

    def clear(self) -> None:
        """Begin anew: another edge takes this row."""
        for cell in range(EDGE_CELLS):
            self._cells[cell] = 0

    def _dropped_cells(self, k: int) -> list[int]:
        return [self._cells[_DROPPED + 2 * i + k] for i in range(len(REASONS) + 1)]

    @property
    def total_sent(self) -> Count:
        """Handed to the edge so far."""
        return self._pair(_SENT)

    @property
    def total_received(self) -> Count:
        """Handled by the consumer so far."""
        return self._pair(_RECEIVED)

    @property
    def in_flight(self) -> Count:
        """Waiting, on the way, or in the consumer's handler."""
        return self._pair(_FLIGHT)

    @property
    def total_dropped(self) -> Count:
        """Let go so far, for whatever reason."""
        return Count(sum(self._dropped_cells(0)), sum(self._dropped_cells(1)))

    @property
    def dropped_by(self) -> dict[str, Count]:
        """Reason -> how much was dropped for it; only reasons that occurred."""
        pairs = {reason: self._pair(_DROPPED + 2 * i) for i, reason in enumerate(REASONS)}
        stale = self._pair(_STALE)
        pairs["seek"] = Count(pairs["seek"].packets + stale.packets, pairs["seek"].events + stale.events)
        return {reason: count for reason, count in pairs.items() if count.packets}

    @property
    def balanced(self) -> bool:
        """Whether sent = received + dropped + in flight holds, in packets and in events."""
        sent, received, dropped, flight = self.total_sent, self.total_received, self.total_dropped, self.in_flight
        return (
            sent.packets == received.packets + dropped.packets + flight.packets
            and sent.events == received.events + dropped.events + flight.events
        )

    def __str__(self) -> str:
        totals = (self.total_sent, self.total_received, self.total_dropped, self.in_flight)
        texts = [f"{total.packets} packets ({total.events} events)" for total in totals]
        return "sent {}, received {}, dropped {}, in flight {}".format(*texts)

    def age_ms(self, share: float) -> float | None:
        """Quantile of the age of packets at the consumer's entry; None when nothing was received."""
        return _quantile(list(self._cells[_HISTOGRAM:]), share)


class NodeAccount(_Cells):
    """Packets and events that a node handled (a source: made), and the time it took."""

    def handled(self, events: int, busy_ns: int) -> None:
        """One handler call, or one packet of a source, took `busy_ns` of its own time."""
        self._add(_PACKETS, 1, events)
        self._cells[_BUSY_NS] += busy_ns
        self._cells[_SERVICE + _bin(busy_ns)] += 1

    def entered(self, ns: int) -> None:
        """The node's own code was entered at host-monotonic `ns`; 0: it was left."""
        self._cells[_ENTERED_NS] = ns

    @property
    def entered_ns(self) -> int:
        """Since when the node's own code runs; 0 when it does not."""
        return self._cells[_ENTERED_NS]

    def stands(self, zero_us: int, position_us: int, epoch: int) -> None:
        """A source's sensor time: where its recording begins, and the end of the packet it gave last."""
        self._cells[_ZERO_US], self._cells[_POSITION_US], self._cells[_EPOCH] = zero_us, position_us, epoch

    @property
    def zero_us(self) -> int:
        """Sensor time at which a source's recording begins."""
        return self._cells[_ZERO_US]

    @property
    def epoch(self) -> int:
        """The epoch of the packet that a source gave last."""
        return self._cells[_EPOCH]

    @property
    def position_us(self) -> int:
        """How far a source is, counted from where its recording begins."""
        return self._cells[_POSITION_US] - self._cells[_ZERO_US]

    @property
    def total(self) -> Count:
        """Handled so far."""
        return self._pair(_PACKETS)

    @property
    def busy_ns(self) -> int:
        """Time inside the node's own code, without the time its results took to be passed on."""
        return self._cells[_BUSY_NS]

    def service_ms(self, share: float) -> float | None:
        """Quantile of the time per packet; None when nothing was handled."""
        return _quantile(list(self._cells[_SERVICE:]), share)


class Ledger:
    """All accounts of a run in one piece of memory; `fd` is given to the workers, None means private memory."""

    def __init__(self, n_edges: int, n_nodes: int, n_workers: int = 1, fd: int | None = None) -> None:
        size = 8 * (n_edges * EDGE_CELLS + n_nodes * NODE_CELLS + n_workers)
        self._map = mmap.mmap(-1 if fd is None else fd, size)
        cells = memoryview(self._map).cast("q")
        self.edges = [EdgeAccount(cells[i * EDGE_CELLS : (i + 1) * EDGE_CELLS]) for i in range(n_edges)]
        start = n_edges * EDGE_CELLS
        self.nodes = [NodeAccount(cells[start + i * NODE_CELLS : start + (i + 1) * NODE_CELLS]) for i in range(n_nodes)]
        self.beats = cells[start + n_nodes * NODE_CELLS :]
        """For each worker, when its loop last turned, in host-monotonic ns; 0 before it runs."""

    @staticmethod
    def memory(n_edges: int, n_nodes: int, n_workers: int) -> int:
        """A new memfd large enough for these accounts, inheritable by the workers."""
        fd = os.memfd_create("evpipe-accounts")
        os.ftruncate(fd, 8 * (n_edges * EDGE_CELLS + n_nodes * NODE_CELLS + n_workers))
        return fd

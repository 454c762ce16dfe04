"""The producer's end of one edge: what waits, what goes when the consumer is slow, and what is said about it.

Pure bookkeeping, without sockets: the outlet asks it what to send next and tells it what was acknowledged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from evpipe.errors import RecorderError
from evpipe.link.account import EdgeAccount
from evpipe.link.policy import Clock, Policy

WAITING = 16  # packets that a lossless edge holds before its producer waits (replay and fast)


class Gap(msgspec.Struct, array_like=True):
    """A run of packets that the consumer will not get; announced before the next one it gets."""

    reason: str
    count: int
    events: int
    t0_us: int
    t1_us: int


class Item(msgspec.Struct):
    """One message to a consumer: a packet (`payload` holds it) or a mark (no payload)."""

    t0_us: int
    t1_us: int
    events: int
    nbytes: int
    born_ns: int
    payload: Any = None
    mark: str = ""  # "watermark" or "end"; empty for a packet
    epoch: int = 0


class EdgeQueue:
    """Items that wait for one consumer, under one policy.

    `release` is called with the payload of every packet that is let go before it was sent. Credits bound what is on
    the way and not yet handled.
    """

    def __init__(
        self, name: str, policy: Policy, clock: Clock, account: EdgeAccount, release: Callable[[Any], None]
    ) -> None:
        self.name = name
        self.policy = policy
        self.account = account
        self._live = clock == "live"
        self._release = release
        self._items: deque[Item] = deque()
        self._outstanding: dict[int, Item] = {}
        self._credits = _credits(policy)
        self._gap: Gap | None = None
        self._end: Item | None = None
        self._waiting_bytes = 0
        self._number = 0
        self._warned = False
        self.dead = False
        self.warnings: list[str] = []
        self.failure: RecorderError | None = None

    def __len__(self) -> int:
        return len(self._items)

    @property
    def idle(self) -> bool:
        """Nothing waits and everything sent was acknowledged."""
        return self.dead or not (self._items or self._outstanding)

    @property
    def full(self) -> bool:
        """The producer must wait before the next packet."""
        return self.policy.kind == "lossless" and not self._live and not self.dead and len(self._items) >= WAITING

    def put(self, item: Item, now_ns: int) -> None:
        """Take a packet in charge; older ones may go. A live lossless buffer that is full sets `failure`."""
        self.account.sent(item.events)
        if self.dead:
            self._waiting_bytes += item.nbytes
            self._note("dead", item)
            return
        if self.policy.kind == "newest":
            self._shed("depth", lambda _: True)
        elif self.policy.kind == "keep_up":
            self._shed_old(now_ns)
            excess = sum(not item.mark for item in self._items) + 1 - self.policy.depth
            if excess > 0:
                self._shed("depth", lambda _: True, excess)
        self._items.append(item)
        self._waiting_bytes += item.nbytes
        if self.policy.kind == "lossless" and self._live:
            self._check_buffer()

    def mark(self, kind: str, t_us: int, epoch: int) -> None:
        """Queue a watermark or the end. A watermark replaces one that still waits behind all packets."""
        item = Item(t_us, t_us, 0, 0, 0, mark=kind, epoch=epoch)
        if kind == "end":
            self._end = item
        if self.dead:
            return
        if self._items and self._items[-1].mark == "watermark":
            self._items.pop()
        self._items.append(item)

    def forget(self, epoch: int) -> None:
        """A seek: what waits of before this epoch is of no use any more, and no gap in it worth telling."""
        if self._end is not None and self._end.epoch < epoch:
            self._end = None
        old = [item for item in self._items if item.epoch < epoch]
        if not old:
            return
        self._items = deque(item for item in self._items if item.epoch >= epoch)
        self._gap = None
        for item in old:
            if not item.mark:
                self._waiting_bytes -= item.nbytes
                self.account.dropped("seek", 1, item.events)
                self._release(item.payload)

    def next(self, now_ns: int) -> tuple[int, Item, Gap | None] | None:
        """The number of the next message, the message, and the gap before it; None when nothing may go now."""
        if self.dead or len(self._outstanding) >= self._credits:
            return None
        if self.policy.kind == "keep_up":
            self._shed_old(now_ns)
        if not self._items:
            return None
        item = self._items.popleft()
        self._waiting_bytes -= item.nbytes
        self._number += 1
        self._outstanding[self._number] = item
        if item.mark:  # a gap is told with the next packet: marks have no handler to tell it to
            return self._number, item, None
        gap, self._gap = self._gap, None
        return self._number, item, gap

    def done(self, number: int) -> None:
        """The consumer's handler returned from this message."""
        item = self._outstanding.pop(number, None)
        if item is not None and not item.mark:
            self.account.landed(item.events)

    def die(self) -> None:
        """The consumer is gone: everything in flight is dropped, and so is whatever comes.

        What waited is released here; what was on its way is the outlet's to take back.
        """
        if self.dead:
            return
        self.dead = True
        for item in self._items:
            if not item.mark:
                self._release(item.payload)
        t0_us = min((item.t0_us for item in [*self._outstanding.values(), *self._items]), default=0)
        t1_us = max((item.t1_us for item in [*self._outstanding.values(), *self._items]), default=0)
        self._outstanding.clear()
        self._items.clear()
        self._waiting_bytes = 0
        lost = self.account.settle_death()
        if lost.packets:
            self._gap = Gap("dead", lost.packets, lost.events, t0_us, t1_us)

    def revive(self) -> None:
        """A new consumer takes the place of the dead one; it is told what was lost in between."""
        self.dead = False
        if self._end is not None:
            self._items.append(self._end)

    def _shed_old(self, now_ns: int) -> None:
        limit_ns = self.policy.max_age_us * 1000
        self._shed("age", lambda item: now_ns - item.born_ns > limit_ns)

    def _shed(self, reason: str, old: Callable[[Item], bool], at_most: int | None = None) -> None:
        """Let waiting packets go, oldest first, as long as they are `old`; marks stay."""
        kept: deque[Item] = deque()
        gone = 0
        while self._items:
            item = self._items.popleft()
            if item.mark:
                kept.append(item)
            elif (at_most is None or gone < at_most) and old(item):
                gone += 1
                self._note(reason, item)
            else:
                self._items.appendleft(item)
                break
        self._items.extendleft(reversed(kept))

    def _note(self, reason: str, item: Item) -> None:
        self._waiting_bytes -= item.nbytes
        self.account.dropped(reason, 1, item.events)
        self._release(item.payload)
        if self._gap is None:
            self._gap = Gap(reason, 1, item.events, item.t0_us, item.t1_us)
        else:
            self._gap.count += 1
            self._gap.events += item.events
            self._gap.t1_us = item.t1_us

    def _check_buffer(self) -> None:
        limit = self.policy.buffer
        if not self._warned and self._waiting_bytes > limit // 2:
            self._warned = True
            waiting, buffer = _size(self._waiting_bytes), _size(limit)
            self.warnings.append(f"{self.name} is falling behind: {waiting} of its buffer of {buffer} wait to be taken")
        if self.failure is None and self._waiting_bytes > limit:
            self.failure = RecorderError(
                f"{self.name}: its buffer of {_size(limit)} is full, {len(self._items)} packets wait; a live lossless "
                "edge drops nothing, so the run ends. Send it less, record to a faster disk, or raise 'buffer'"
            )


def _size(nbytes: int) -> str:
    return f"{nbytes / 2**20:.0f} MiB" if nbytes >= 2**20 else f"{nbytes / 2**10:.0f} KiB"


def _credits(policy: Policy) -> int:
    """Messages on the way and not yet handled: one under `newest`, whose promise is the age of what is handled next.

    A lossless edge promises no age, and each message more on the way saves a change of process: 16 instead of 2 made a
    replay of small packets over two workers several times faster on two busy cores.
    """
    return {"newest": 1, "keep_up": 2, "lossless": 16}[policy.kind]

"""Gives recordings to a pool, the largest first, tries each that fails once more, and keeps what came of all."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec

from evpipe.batch.record import Record
from evpipe.batch.recordings import Recording
from evpipe.batch.runner import Reply

ATTEMPTS = 2


class Pool(Protocol):
    """Workers that take recordings."""

    def answers(self, following: Callable[[], Recording | None]) -> Iterator[tuple[Recording, Reply | str]]:
        """Give out what `following` names; yield the answers."""


class Tally(msgspec.Struct):
    """How a batch goes: the last reply for each recording that is done, and how often each was tried."""

    replies: dict[str, Reply] = {}
    attempts: dict[str, int] = {}

    @property
    def records(self) -> list[Record]:
        """In order of their names."""
        return [self.replies[name].record for name in sorted(self.replies)]


def go_through(
    pool: Pool, recordings: Sequence[Recording], tally: Tally, tell: Callable[[Recording, Reply, bool], None]
) -> None:
    """Everything through the pool. `tell` hears of each answer, and whether it is the last for its recording.

    What failed waits until all others had their turn: what is whole comes first.
    """
    waiting = deque(sorted(recordings, key=lambda recording: (-recording.size, recording.name)))
    second: deque[Recording] = deque()

    def following() -> Recording | None:
        chosen = waiting or second
        return chosen.popleft() if chosen else None

    for recording, answer in pool.answers(following):
        failure = Record(name=recording.name, status="failed", bytes=recording.size, message=str(answer))
        reply = Reply(record=failure) if isinstance(answer, str) else answer
        tally.attempts[recording.name] = tally.attempts.get(recording.name, 0) + 1
        final = reply.record.status == "ok" or tally.attempts[recording.name] >= ATTEMPTS
        if final:
            tally.replies[recording.name] = reply
        else:
            second.append(recording)
        tell(recording, reply, final)

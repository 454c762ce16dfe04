"""`Feed`: the events of a recording handed out from the front, by time or by count, as EventCD arrays of their own.

Constant memory: one chunk of the reader. Only trigger edges are kept, because scripts ask for all of them so far.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from sensors.formats.reader import Account, Chunk, EventChunk, TriggerChunk, shown
from sensors.metavision.recording import open_recording, shift_of
from sensors.metavision.sdk_base import EventCD, EventExtTrigger, Records, of_words

NO_LIMIT = sys.maxsize
_WANTED = frozenset({"events", "triggers"})


class RecordingWarning(UserWarning):
    """Something in a recording could not be given, or was mended; the text says what and how many."""


class Feed:
    """Opens a recording and gives its events in file order. Times are sensor time in us less `shift_us`.

    `taken`: events given out or dropped since the start, or since the time that `restart` was given. `last_us`: the
    time of the last of them. `can_jump`: the file is sought by time, and no trigger edges get lost by it.
    """

    def __init__(self, path: str, do_time_shifting: bool) -> None:
        """Raises FileNotFoundError or OSError, as `open_recording`."""
        from sensors.kernels.event_records import pack

        self._pack = pack
        self.path = path
        self._reader = open_recording(path)
        self._is_open = True
        self.format = self._reader.format
        self.can_jump = self._reader.seekable and "triggers" not in self._reader.streams
        self.height, self.width = self._reader.height, self._reader.width
        self.shift_us = shift_of(self._reader) if do_time_shifting else 0
        # One chunk of the reader as words of EventCD records, and its times; used again for the next.
        self._words, self._t = np.empty((0, 2), np.int64), np.empty(0, np.int64)
        self._at = self._size = 0
        self._in_order, self._begun = True, True
        self._ahead: EventChunk | None = None
        self._chunks: Iterator[Chunk] = iter(())
        self.restart()

    def restart(self, from_us: int | None = None) -> None:
        """Begin again at the start, or at the first event at or after `from_us`. Trigger edges are forgotten."""
        self._empty()
        if not self._is_open:
            self._reader, self._is_open = open_recording(self.path), True
        self._begun = False
        self.taken, self.last_us = 0, 0
        self._edges: list[Records] = []
        self._jumped_to = from_us if self.can_jump else None
        stored_us = None if self._jumped_to is None else self._jumped_to + self.shift_us
        self._chunks = self._reader.chunks(_WANTED, stored_us)
        if from_us is not None:
            self.drop(from_us)
            self.taken = self.taken if self._jumped_to is None else 0

    def close(self) -> None:
        """Close the file; what was decoded is given up. `restart` opens it again."""
        self._empty()
        if self._is_open:
            self._is_open = False
            self._reader.close()

    def __del__(self) -> None:
        if getattr(self, "_is_open", False):
            self.close()

    def more(self) -> bool:
        """Whether an event is left. Decodes ahead to the next one."""
        return self._at < self._size or self._next_chunk()

    def next_us(self) -> int | None:
        """The time of the next event; None at the end."""
        return int(self._t[self._at]) if self.more() else None

    def index(self) -> int:
        """How many events of the recording lie before the next one; after a jump that costs a pass over them."""
        if self._jumped_to is None:
            return self.taken
        before = Feed(self.path, do_time_shifting=False)
        before.drop(self._jumped_to + self.shift_us)
        before.close()
        return before.taken + self.taken

    def take(self, start_us: int | None, end_us: int | None, n: int = NO_LIMIT) -> Records:
        """The next events up to the first at or after `end_us`, at most `n`; None: no bound.

        Raises AssertionError when one of them lies before `start_us`: time steps back behind a slice given before.
        """
        parts = []
        while n > 0 and self.more():
            first, last = self._at, self._until(end_us, n)
            if last > first:
                if start_us is not None:
                    self._check(start_us, first, last)
                parts.append(self._words[first:last].copy())
                self._pass(last)
                n -= last - first
            if last < self._size:
                break
        if not parts:
            return np.empty(0, EventCD)
        return of_words(parts[0] if len(parts) == 1 else np.concatenate(parts))

    def drop(self, end_us: int | None, n: int = NO_LIMIT) -> None:
        """As `take`, but the events are given to nobody."""
        while n > 0 and self.more():
            first, last = self._at, self._until(end_us, n)
            if last > first:
                self._pass(last)
                n -= last - first
            if last < self._size:
                break

    def triggers(self) -> Records:
        """The trigger edges decoded so far, as an EventExtTrigger array of its own.

        None that belongs before the next event is missing; some may be ahead of it.
        """
        return np.concatenate([np.empty(0, EventExtTrigger), *self._edges], dtype=EventExtTrigger)

    def forget_triggers(self) -> None:
        """Forget the trigger edges decoded so far."""
        self._edges = []

    def _until(self, end_us: int | None, n: int) -> int:
        """The place in the chunk up to which events are taken."""
        at = self._at
        last = min(self._size, at + n)
        if end_us is None:
            return last
        if self._in_order:
            return last if self._t[last - 1] < end_us else at + int(self._t[at:last].searchsorted(end_us))
        beyond = self._t[at:last] >= end_us
        return at + int(np.argmax(beyond)) if beyond.any() else last

    def _check(self, start_us: int, first: int, last: int) -> None:
        earliest = int(self._t[first] if self._in_order else self._t[first:last].min())
        if earliest < start_us:
            raise AssertionError(
                f"{self.path}: time steps back: an event at {earliest} us follows the slice that ended at {start_us} "
                f"us (after {self.taken} events). Slices need times in order: read it with mode='n_events'."
            )

    def _pass(self, last: int) -> None:
        self.taken += last - self._at
        self.last_us = int(self._t[last - 1])
        self._at = last

    def _next_chunk(self) -> bool:
        """Take the reader's next chunk of events, and decode on to the one after: edges follow their events."""
        if not self._begun:
            self._begun, self._ahead = True, self._pull()
        if self._ahead is None:
            return False
        chunk = shown(self._reader, self._ahead)
        self._at, self._size = 0, len(chunk.t)
        if self._size > len(self._t):
            self._words, self._t = np.empty((self._size, 2), np.int64), np.empty(self._size, np.int64)
        self._in_order = self._pack(*chunk, self.shift_us, self._words, self._t)
        self._ahead = self._pull()
        return True

    def _pull(self) -> EventChunk | None:
        """The reader's next chunk of events; edges before it are kept. None at the end, where losses are said."""
        for chunk in self._chunks:
            if isinstance(chunk, EventChunk) and len(chunk.t):
                return chunk
            if isinstance(chunk, TriggerChunk):
                self._edges.append(self._edge_records(chunk))
        say(self.path, self._reader.account)
        return None

    def _edge_records(self, chunk: TriggerChunk) -> Records:
        out = np.zeros(len(chunk.t), EventExtTrigger)
        out["p"], out["t"], out["id"] = chunk.value, chunk.t - self.shift_us, chunk.channel
        return out

    def _empty(self) -> None:
        """Give up the reader's chunks and what was decoded of them."""
        close: Any = getattr(self._chunks, "close", None)
        if close is not None:
            close()
        self._chunks = iter(())
        self._at = self._size = 0
        self._begun, self._ahead = True, None


def say(path: str, account: Account) -> None:
    """Warn of what was lost or mended, in one RecordingWarning."""
    said = [f"{count} {what}" for what, count in account.notes.items()]
    said += [f"damaged at byte {damage.offset}: {damage.what}" for damage in account.damage[:3]]
    if more := max(len(account.damage) - 3, 0) + account.more_damage:
        said.append(f"{more} more damaged places: `evpipe info` lists them")
    if said:
        warnings.warn(f"{path}: {'; '.join(said)}", RecordingWarning, stacklevel=2)

"""Waits at the end of a recording that is still being written, and notices when that ended, or went wrong."""

from __future__ import annotations

import os
import time

from sensors.formats.reader import Account

POLL_S = 0.02
IDLE_US = 5_000_000


class Follow:
    """Follows one file. It ends when nothing was appended for `idle_us` (0: never), or the file is no longer that one.

    A reader that finds no more whole record asks `goes_on`, and tries again.
    """

    def __init__(self, path: str, idle_us: int = IDLE_US) -> None:
        """Raises OSError when there is no such file."""
        self._path, self._idle_s = path, idle_us / 1e6
        found = os.stat(path)
        self._file, self._size = (found.st_dev, found.st_ino), found.st_size
        self._grown_s = time.monotonic()
        self._ended = False
        self._seen = -1

    def goes_on(self, seen: int, account: Account) -> bool:
        """Whether more may come behind byte `seen`, the end of the file as it was read; waits a little if nothing did.

        What is wrong with the file is entered in `account`.
        """
        if self._ended or (wrong := self._wrong(seen)):
            if not self._ended:
                account.lost(seen, f"{wrong} while it was followed; what was read up to there was given")
            self._ended = True
            return False
        if seen > self._seen:  # the reader has only now caught up: what came before it took (kernels) is no idleness
            self._seen, self._grown_s = seen, time.monotonic()
        size = os.path.getsize(self._path)
        if size != self._size:
            self._size, self._grown_s = size, time.monotonic()
            return True
        self._ended = bool(self._idle_s) and time.monotonic() - self._grown_s >= self._idle_s
        if not self._ended:
            time.sleep(POLL_S)
        return not self._ended

    def _wrong(self, seen: int) -> str:
        """What happened to the file, "" while it is the same and not shorter."""
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            return "the file was removed"
        if (found.st_dev, found.st_ino) != self._file:
            return "the file was replaced by another of its name"
        if found.st_size < seen:
            return f"the file was cut from {seen} to {found.st_size} bytes"
        return ""

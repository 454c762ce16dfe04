"""Arrays of clips kept on disk: one process at a time makes them, in room taken beforehand, and tells what it saw."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from evpipe.errors import UsageError
from operators.learn.sources import Say


@contextmanager
def alone(folder: Path, say: Say) -> Iterator[None]:
    """Nobody else makes clips in the folder meanwhile; a lock that a killed process held is free again."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process makes clips in {folder}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def reserve(paths: Sequence[Path], remedy: str) -> None:
    """Take the room of files on disk now: a mapped file that finds none later kills its process.

    Raises UsageError, with the `remedy`, where there is none; the files are removed.
    """
    size = sum(path.stat().st_size for path in paths)
    for path in paths:
        try:
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            for made in paths:
                made.unlink(missing_ok=True)
            raise UsageError(
                f"{path.parent}: no room for clips of {size / 1e9:.1f} GB ({error.strerror}): free some, choose "
                f"another folder, {remedy}"
            ) from None


def told(note: str, recordings: Sequence[str]) -> str:
    """A note with the recording that it is about, or with their number."""
    if len(recordings) == 1:
        return f"{recordings[0]}: {note}"
    return f"{len(recordings)} recordings, the first {recordings[0]}: {note}"

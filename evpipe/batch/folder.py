"""The folder of a batch: tables, records, summary and report. One batch at a time writes to it, and only to its own.

`run.json` marks the folder and holds what depends on the host: times, jobs, attempts.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evpipe.batch.record import as_json, write
from evpipe.errors import UsageError

MARK = "run.json"


@contextmanager
def taken(out: Path) -> Iterator[Path]:
    """Have the folder for oneself; gives the folder below it where files are written before they are renamed.

    Raises UsageError when it is in use, holds other things, or cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()) and not (out / MARK).is_file() and not (out / ".part").is_dir():
            raise UsageError(f"--out {out}: the folder is not empty and holds no batch; give another one")
        lock = os.open(out, os.O_RDONLY)
    except OSError as error:
        raise UsageError(f"--out {out}: {error.strerror}; give another folder") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"--out {out}: another batch writes there; wait for its end, or give another") from None
        scratch = out / ".part"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        if not (out / MARK).is_file():
            write(out / MARK, as_json({"evpipe_batch": 1}), scratch)
        yield scratch
        shutil.rmtree(scratch, ignore_errors=True)
    finally:
        os.close(lock)

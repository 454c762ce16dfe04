"""Progress of long jobs on stderr: a line for each thing done, and a line that changes in place on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable


def progress(*, quiet: bool) -> Callable[[str], None]:
    """A function that shows a text with the seconds since the start.

    A text that ends in "..." is shown only on a terminal, where the next one replaces it.
    """
    start = time.monotonic()

    def say(text: str) -> None:
        terminal, passing = sys.stderr.isatty(), text.endswith("...")
        if quiet or (passing and not terminal):
            return
        line = f"{time.monotonic() - start:6.0f} s  {text}"
        sys.stderr.write((f"\r{line:<100}" if terminal else line) + ("" if passing else "\n"))
        sys.stderr.flush()

    return say

"""The words of a text file one after another, each with its line, for formats whose line breaks mean nothing.

Every fault found on the way is an InputError that names file and line.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from evpipe.errors import InputError

_WORD = re.compile(r"[{}]|[^\s{}]+")


def text_of(path: Path) -> str:
    """The text of a file. Raises InputError when it cannot be read as text."""
    try:
        return path.read_text(encoding="utf-8-sig", errors="strict")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no text: byte {error.object[error.start]:#04x} at offset {error.start}") from None


class Words:
    """Words and braces of a text, taken in order. `line` is that of the last word taken, from 1."""

    def __init__(self, path: Path, text: str, first_line: int = 1) -> None:
        self._path = path
        self._found: list[tuple[str, int]] = [
            (word, number)
            for number, line in enumerate(text.splitlines(), first_line)
            for word in _WORD.findall(line.partition("#")[0])
        ]
        self._next = 0
        self.line = first_line

    def peek(self) -> str:
        """The next word, "" at the end."""
        return self._found[self._next][0] if self._next < len(self._found) else ""

    def take(self, wanted: str) -> str:
        """The next word; `wanted` says what it should be, for the error when there is none."""
        if self._next == len(self._found):
            raise InputError(f"{self._path}:{self.line}: the file ends where {wanted} should follow; get a whole one")
        word, self.line = self._found[self._next]
        self._next += 1
        return word

    def expect(self, *words: str) -> str:
        """The next word, which must be one of these in any case; in the case given here."""
        found = self.take(" or ".join(words))
        for word in words:
            if found.lower() == word.lower():
                return word
        self.fail(f"found '{found}' where {' or '.join(words)} should stand")

    def number(self, wanted: str) -> float:
        """The next word as a finite number."""
        word = self.take(wanted)
        try:
            value = float(word)
        except ValueError:
            value = np.nan
        if not np.isfinite(value):
            self.fail(f"found '{word}' where {wanted} should stand")
        return value

    def numbers(self, count: int, wanted: str) -> NDArray[np.float64]:
        """The next `count` words as finite numbers."""
        return np.array([self.number(wanted) for _ in range(count)])

    def fail(self, what: str) -> NoReturn:
        """Raises InputError at the last word taken."""
        raise InputError(f"{self._path}:{self.line}: {what}")

"""What is wrong with a graph file: each fault with its place, the rule, the value found and the nearest spelling.

Faults are collected, so that one pass shows them all; they are raised together as one `GraphFaultsError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import msgspec

from evpipe.errors import GraphError


class Place(msgspec.Struct, frozen=True):
    """Where a value stands: a file with its line and column (both from 1), or an option such as `--set bins.hop=5`.

    `width` columns of the line `text` are meant; `line` is 0 for an option. `folder` is where `./x.py` is looked for.
    """

    origin: str
    line: int = 0
    column: int = 0
    width: int = 1
    text: str = ""
    folder: str = "."

    def __str__(self) -> str:
        return f"{self.origin}:{self.line}:{self.column}" if self.line else self.origin


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong. `node` and `field` say of what, `message` gives the rule and the value found."""

    place: Place
    message: str
    node: str = ""
    field: str = ""
    hint: str = ""

    def __str__(self) -> str:
        subject = ", ".join(part for part in (f"node '{self.node}'" if self.node else "", self.field) if part)
        head = f"{self.place}: {subject}: {self.message}" if subject else f"{self.place}: {self.message}"
        if not self.place.line:
            return f"{head}\n      | {self.hint}" if self.hint else head
        indent = len(self.place.text) - len(self.place.text.lstrip())
        caret = " " * (self.place.column - 1) + "^" * self.place.width
        caret = self.place.text[: min(indent, self.place.column - 1)] + caret[min(indent, self.place.column - 1) :]
        return f"{head}\n{self.place.line:5} | {self.place.text}\n      | {caret} {self.hint}".rstrip()

    def as_dict(self) -> dict[str, Any]:
        """The fault as JSON gives it."""
        return {
            "file": self.place.origin,
            "line": self.place.line,
            "column": self.place.column,
            "node": self.node,
            "field": self.field,
            "message": self.message,
            "hint": self.hint,
        }


class GraphFaultsError(GraphError):
    """Every fault of one graph; the text has a paragraph for each."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = list(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


def nearest(word: str, among: Iterable[str]) -> str | None:
    """The most similar of some words, when one is similar enough to be meant."""
    words = list(among)
    lower = {candidate.lower(): candidate for candidate in words}
    found = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.6)
    if found:
        return lower[found[0]]
    starts = [candidate for candidate in words if len(word) > 1 and candidate.lower().startswith(word.lower())]
    return starts[0] if len(starts) == 1 else None


def hint(word: str, among: Iterable[str], lead: str = "") -> str:
    """`did you mean 'x'?` when something is near, and after it what there is, led by `lead`."""
    words = list(among)
    near = nearest(word, words)
    parts = [f"did you mean '{near}'?"] if near else []
    if lead:
        parts.append(f"{lead}: {', '.join(words)}" if words else f"{lead}: nothing")
    return "  ".join(parts)

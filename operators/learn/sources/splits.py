"""Dealing recordings into training, validation and test, fixed by their names alone, or cutting each in time."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from evpipe.errors import UsageError
from operators.learn.recipe import Split
from operators.learn.sources.recordings import Recording

SHARE = 0.2
"""Of each class, what validation and the test take where the data has none of its own."""


def cut(recordings: Sequence[Recording], into: Sequence[Split], _place: str) -> list[Recording]:
    """Every recording in parts, one a split: the last fifths of its time go to `into`, what is before to training."""
    splits: list[tuple[Split, float]] = [
        ("train", 1 - SHARE * len(into)),
        *((split, SHARE) for split in reversed(into)),
    ]
    parts = []
    for recording in recordings:
        start = 0.0
        for split, share in splits:
            end = round(start + share, 9)
            name = f"{recording.name} ({start:.0%} to {end:.0%})"
            parts.append(recording._replace(name=name, split=split, part=(start, end)))
            start = end
    return parts


def deal(recordings: Sequence[Recording], into: Sequence[Split], place: str) -> list[Recording]:
    """The recordings with a split each, in the order given: a fifth of every class to each of `into`, else training.

    Groups are taken in the order of a hash of their names, and each goes where its classes lack most: a split that is
    empty yet, else the one furthest below its share. Raises UsageError where a class cannot have some of each split.
    """
    shares: dict[Split, float] = {"train": 1 - SHARE * len(into), **dict.fromkeys(into, SHARE)}
    groups: dict[str, Counter[str]] = {}
    for recording in recordings:
        groups.setdefault(recording.group, Counter())[recording.label] += 1
    totals = Counter(recording.label for recording in recordings)
    have: dict[Split, Counter[str]] = {split: Counter() for split in shares}
    chosen: dict[str, Split] = {}
    for group in sorted(groups, key=lambda name: (hashlib.sha256(name.encode()).digest(), name)):
        classes = groups[group]

        def lack(split: Split, classes: Counter[str] = classes) -> tuple[int, float]:
            empty = sum(not have[split][label] for label in classes)
            below = sum(shares[split] - have[split][label] / totals[label] for label in classes)
            return empty, round(below, 9)

        split = max(shares, key=lack)
        chosen[group] = split
        have[split].update(classes)
    for label in totals:
        if any(not have[split][label] for split in shares):
            raise UsageError(f"{place}: {_want(label, groups, list(shares))}: record more, or take the class out")
    return [recording._replace(split=chosen[recording.group]) for recording in recordings]


def _want(label: str, groups: dict[str, Counter[str]], splits: list[Split]) -> str:
    """What a class lacks."""
    number = sum(1 for classes in groups.values() if classes[label])
    what = "recordings" if all(sum(classes.values()) == 1 for classes in groups.values()) else "groups of recordings"
    if number < len(splits):
        return f"class '{label}' has {number} {what}; {', '.join(splits)} need one each at least"
    return f"the {number} {what} of class '{label}' cannot be dealt so that {', '.join(splits)} have one each"

"""Dealing recordings: shares, wholeness of groups, independence of anything but names."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.errors import UsageError
from operators.learn.sources.recordings import Recording
from operators.learn.sources.splits import cut, deal

BOTH = ("test", "validation")


def singles(label: str, number: int) -> list[Recording]:
    return [Recording(Path(f"{k}"), f"{label}/{k}", label, f"{label}/{k}") for k in range(number)]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(3, 60), min_size=2, max_size=5), st.randoms())
def test_single_recordings_meet_their_shares(numbers, shuffle) -> None:
    """Every class has 60/20/20, give or take one recording, in whatever order it is listed."""
    recordings = [one for index, number in enumerate(numbers) for one in singles(f"class{index}", number)]
    dealt = deal(recordings, BOTH, "here")
    assert [one._replace(split=None) for one in dealt] == recordings
    for index, number in enumerate(numbers):
        counts = Counter(one.split for one in dealt if one.label == f"class{index}")
        for split, share in (("train", 0.6), ("test", 0.2), ("validation", 0.2)):
            assert counts[split] >= 1
            assert abs(counts[split] - share * number) <= 1.0001
    mixed = list(recordings)
    shuffle.shuffle(mixed)
    assert sorted(deal(mixed, BOTH, "here")) == sorted(dealt)


@pytest.mark.parametrize(("number", "expected"), [(3, (1, 1, 1)), (4, (2, 1, 1)), (5, (3, 1, 1)), (10, (6, 2, 2))])
def test_small_classes(number, expected) -> None:
    counts = Counter(one.split for one in deal(singles("a", number), BOTH, "here"))
    assert (counts["train"], counts["test"], counts["validation"]) == expected


@settings(deadline=None, max_examples=50)
@given(st.integers(5, 25), st.integers(2, 6), st.integers(1, 4))
def test_groups_stay_whole(people, classes, each) -> None:
    recordings = [
        Recording(Path("x"), f"{label}/{person}/{k}", str(label), f"person{person}")
        for label in range(classes)
        for person in range(people)
        for k in range(each)
    ]
    dealt = deal(recordings, BOTH, "here")
    splits: dict[str, set] = {}
    for one in dealt:
        splits.setdefault(one.group, set()).add(one.split)
    assert all(len(found) == 1 for found in splits.values())
    counts = Counter(next(iter(found)) for found in splits.values())
    assert abs(counts["test"] - people / 5) <= 1
    assert abs(counts["validation"] - people / 5) <= 1


def test_validation_alone_takes_a_fifth() -> None:
    assert Counter(one.split for one in deal(singles("a", 100), ("validation",), "x")) == {
        "train": 80,
        "validation": 20,
    }


def test_too_few_are_named() -> None:
    with pytest.raises(UsageError, match=r"here: class 'b' has 2 recordings; train, test, validation need one each"):
        deal(singles("a", 5) + singles("b", 2), BOTH, "here")
    grouped = [one._replace(group=one.group[-1] if int(one.name[2:]) < 2 else "rest") for one in singles("a", 9)]
    deal(grouped, BOTH, "here")
    with pytest.raises(UsageError, match="class 'a' has 1 groups of recordings"):
        deal([one._replace(group="x") for one in grouped], BOTH, "here")


def test_cut_takes_the_end_of_every_recording() -> None:
    """Sixty per cent of a recording's time train, then validation, then the test; nothing is left out or used twice."""
    parts = cut(singles("a", 2), BOTH, "here")
    assert [(one.split, one.part) for one in parts[:3]] == [
        ("train", (0.0, 0.6)),
        ("validation", (0.6, 0.8)),
        ("test", (0.8, 1.0)),
    ]
    assert len({one.name for one in parts}) == 6
    assert [one.part for one in cut(singles("a", 1), ("validation",), "here")] == [(0.0, 0.8), (0.8, 1.0)]

"""What a source of paired pictures offers: cases, one a recording, that fill in the pairs of their clips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from evpipe.packets import U8


class PairCase(NamedTuple):
    """One recording of a split and how the pairs of its clips are made.

    `label`: its class; `recording`: its name; `conditions`: of each clip that it gives, as an index; `depends`: text of
    whatever its clips depend on beside the source code, e.g. a digest of its bytes. `make` fills two uint8 arrays
    [clips, T, H, W, 3], zero before, with pictures and event pictures, and returns notes: what was lost or mended,
    without the recording's name. It runs in another process: it must pickle, and depend on its arguments only.
    """

    label: str
    recording: str
    conditions: tuple[int, ...]
    depends: str
    make: Callable[[U8, U8], list[str]]


class PairCases(NamedTuple):
    """All recordings of a split, in a fixed order.

    `names`: the classes of all splits, in order; `conditions`: their names; `sensor` [height, width] of most
    recordings; `code`: source files that pairs depend on, folders standing for the Python files in them; `notes`: what
    is to be said of the data as a whole.
    """

    cases: list[PairCase]
    names: tuple[str, ...]
    conditions: tuple[str, ...]
    sensor: tuple[int, int]
    code: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def spread(found: int, wanted: int) -> list[int]:
    """Which of `found` things in a row to take for `wanted` spread evenly over them; some twice where too few."""
    return [(2 * k + 1) * found // (2 * wanted) for k in range(wanted)]

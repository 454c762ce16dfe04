"""Where labelled clips come from: each module here turns one kind of a recipe's data into cases, one a recording.

`operators.learn.clips.prepare` has their clips made, in several processes, and keeps them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Say = Callable[[str], None]
Progress = Callable[[int, int], None]


class Case(NamedTuple):
    """One recording of a split and how its clips are made.

    `label`: its class; `recording`: its name; `clips`: how many it gives; `depends`: text of whatever its clips depend
    on beside the recipe and the source code, e.g. a digest of its bytes. `make` fills uint16 [clips, S, 2, H, W], zero
    before, with counts (65535 stands for as many or more), and returns notes: what was lost or mended, without the
    recording's name, so that equal notes can be counted. It runs in another process: it must pickle, e.g. a
    `functools.partial` of a module's function, and depend on its arguments only.
    """

    label: str
    recording: str
    clips: int
    depends: str
    make: Callable[[NDArray[np.uint16]], list[str]]


class Cases(NamedTuple):
    """All recordings of a split, in a fixed order.

    `names`: the classes of all splits, in order; `sensor` [height, width] of most recordings; `steps`: steps S of a
    clip; `code`: source files that clips depend on, folders standing for the Python files in them; `notes`: what is to
    be said of the data as a whole.
    """

    cases: list[Case]
    names: tuple[str, ...]
    sensor: tuple[int, int]
    steps: int
    code: tuple[Path, ...]
    notes: tuple[str, ...] = ()

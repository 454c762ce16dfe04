"""Which kit reads the recipes of a task and makes and measures its models.

Windows of events are measured by `operators.learn.evaluation`, which has more to tell than `Kit.evaluate`.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from operators.learn.progress import Progress
from operators.tasks import Task

_RECIPES: dict[Task, str] = {
    "classify": "operators.learn.recipe",
    "fuse": "operators.learn.fusion.recipe",
    "detect": "operators.learn.detector.recipe",
}
_KITS: dict[Task, str] = {
    "classify": "operators.learn.produce",
    "fuse": "operators.learn.fusion.kit",
    "detect": "operators.learn.detector.kit",
}


class Evaluation(NamedTuple):
    """What was measured, as on the card, and as text for a person."""

    figures: dict[str, Any]
    text: str


class Recipes(Protocol):
    """How a task's recipes are read and checked."""

    def read_recipe(self, path: Path) -> Any:
        """The recipe of a file. Raises UsageError naming file, line, field, rule and value."""

    def check(self, recipe: Any, place: str) -> None:
        """Raises UsageError for values that do not fit together."""


class Kit(Protocol):
    """How a task's models are made."""

    def produce(
        self,
        recipe: Any,
        out: Path,
        say: Progress,
        *,
        resume: bool = False,
        jobs: int = 1,
        data: Path | None = None,
        device: str = "cpu",
    ) -> Any:
        """Train as the recipe says, write `out`/model and `out`/report; returns the card."""

    def told(self, card: Any) -> str:
        """The end of a training in one line."""

    def evaluate(self, folder: Path, data: str | None, say: Progress, *, jobs: int, clips: Path) -> Evaluation:
        """Measure a model on `data` (None: the test data of its card), clips kept in `clips`."""

    def page(self, card: Any, folder: Path) -> str:
        """A card for a person."""


def recipes(task: Task) -> Recipes:
    """The module that reads recipes of a task; no torch is loaded."""
    return import_module(_RECIPES[task])


def kit(task: Task) -> Kit:
    """The module that trains for a task."""
    return import_module(_KITS[task])

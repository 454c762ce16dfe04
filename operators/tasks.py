"""What a model is for, as its card and its recipe say: the `task` that decides which operator runs it, what trains it.

`classify` windows of events (TA-SNN), `fuse` pairs of picture and events (MMHCO-HAR), `detect` objects (EMS-YOLO).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from evpipe.errors import UsageError
from operators.strict_yaml import nearest

Task = Literal["classify", "fuse", "detect"]
TASKS: tuple[Task, ...] = get_args(Task)
OPERATORS: dict[Task, str] = {
    "classify": "operators.ta_snn.Classify",
    "fuse": "operators.mmhco.Classify",
    "detect": "operators.ems_yolo.Detect",
}


def task_of(path: Path) -> Task:
    """The task that a recipe's or a model card's file names, "classify" where it names none.

    Raises UsageError for a task that does not exist; a file that cannot be read counts as "classify", whose reader then
    says what is wrong with it.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        tree = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (OSError, YAMLError, UnicodeDecodeError):
        return "classify"
    task = tree.get("task", "classify") if isinstance(tree, dict) else "classify"
    for known in TASKS:
        if task == known:
            return known
    raise UsageError(f"{path}: task is {task!r}; {nearest(str(task), list(TASKS))}")


def check_task(card: Path, wanted: Task) -> None:
    """Raises UsageError where a card's file names another task, with the operator that runs such a model."""
    task = task_of(card)
    if task != wanted:
        raise UsageError(
            f"{card}: the model's task is '{task}', which {OPERATORS[task]} runs; a model for '{wanted}' is wanted here"
        )

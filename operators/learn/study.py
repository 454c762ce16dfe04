"""A study: variants of a recipe ("arms") trained over several seeds, measured once on the test data, and compared.

Every run has a folder of its own, named by a digest of all that it depends on: what is finished is never done twice.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import traceback
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from evpipe.errors import EvpipeError, UsageError
from operators.learn.changes import changed
from operators.learn.clips import prepare
from operators.learn.curves import SEEDS, BudgetPoint, DropPoint, measure_curves
from operators.learn.produce import produce
from operators.learn.progress import EpochLine, Progress
from operators.learn.recipe import Recipe, Split, check, read_recipe
from operators.model_card import Card, Figures
from operators.strict_yaml import read

Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
RESULT = "result.json"


class Study(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of a file in configs/studies.

    `recipe`: a recipe file, relative to the study's. `arms`: name -> changes of the recipe, as nested fields or with
    dotted keys ("network.attention.frames: none"). `drops`: shares of frames to leave out of test windows; `budgets`:
    time budgets in ms. Every arm is trained with each of `seeds`.
    """

    evpipe_study: Literal[1]
    name: str
    recipe: str
    arms: dict[str, dict[str, Any] | None]
    about: str = ""
    seeds: tuple[Annotated[int, msgspec.Meta(ge=0)], ...] = (0, 1, 2)
    drops: tuple[Share, ...] = ()
    budgets: tuple[Annotated[float, msgspec.Meta(gt=0)], ...] = ()


class Run(msgspec.Struct, frozen=True):
    """One arm with one seed: what is trained, where, and what is measured after it."""

    arm: str
    recipe: Recipe
    folder: Path
    data: Path
    budgets_ms: tuple[float, ...]
    drops: tuple[float, ...]

    @property
    def name(self) -> str:
        """As people read it."""
        return f"{self.arm}, seed {self.recipe.seed}"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one run gave, all of it on the test data. `best_epoch` was chosen on validation."""

    arm: str
    seed: int
    figures: Figures
    best_epoch: int
    validation: float
    budgets: tuple[BudgetPoint, ...]
    drops: tuple[DropPoint, ...]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A run that failed, and why."""

    arm: str
    seed: int
    what: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """All results in the order of the file, and the runs that failed."""

    study: Study
    results: tuple[Result, ...]
    faults: tuple[Fault, ...]

    def of(self, arm: str) -> list[Result]:
        """The results of one arm."""
        return [result for result in self.results if result.arm == arm]


def read_study(path: Path) -> tuple[Study, dict[str, Recipe]]:
    """A study file and the recipe of each arm. Raises UsageError naming file, line or arm, rule and value."""
    study = read(path, Study)
    if not study.arms:
        raise UsageError(f"{path}: arms: there is none; name at least one, such as `plain: {{}}`")
    if not study.seeds or len(set(study.seeds)) < len(study.seeds):
        raise UsageError(f"{path}: seeds is {list(study.seeds)}; give one or more, each once")
    recipe = read_recipe(path.parent / study.recipe)
    recipes = {
        arm: changed(recipe, changes or {}, f"{path}: arm '{arm}'", check) for arm, changes in study.arms.items()
    }
    for arm, of_arm in recipes.items():
        frame_ms = of_arm.input.frame_us / 1000
        for budget in budgets_of(study.budgets, of_arm):
            if round(1000 * budget) % of_arm.input.frame_us:
                raise UsageError(
                    f"{path}: budgets: {budget:g} ms is no multiple of the frame of '{arm}', {frame_ms:g} ms"
                )
    return study, recipes


def budgets_of(budgets_ms: tuple[float, ...], recipe: Recipe) -> list[float]:
    """The budgets that a recipe's window is long enough for, in ms."""
    return [budget for budget in budgets_ms if 1000 * budget <= recipe.input.window_us]


def carry_out(study: Study, recipes: dict[str, Recipe], out: Path, say: Progress, jobs: int = 1) -> Outcome:
    """Train and measure every arm with every seed where that is not done yet, `jobs` runs at a time.

    Clips are made first, once for all arms that share them, and kept in `out`/data; a run has one compute thread and
    a folder in `out`/runs. A run that fails becomes a fault; the others go on. The same study gives the same outcome
    whatever `jobs` is.
    """
    found: dict[tuple[str, int], Result | Fault] = {}
    runs: list[Run] = []
    notes: dict[str, None] = {}
    for arm, recipe in recipes.items():
        try:
            key = _prepared(recipe, out / "data", say, jobs, notes)
        except EvpipeError as error:
            found |= {(arm, seed): Fault(arm=arm, seed=seed, what=str(error)) for seed in study.seeds}
            continue
        runs += [_run(study, arm, recipe, seed, key, out) for seed in study.seeds]
    for note in notes:
        say(note)
    kept = {run.folder: before for run in runs if (before := _kept(run)) is not None}
    if kept:
        say(f"{len(kept)} of {len(runs)} runs were finished before")
    found |= {(run.arm, run.recipe.seed): kept[run.folder] for run in runs if run.folder in kept}
    # Seeds in the outer loop: a study that is cut short has all arms.
    waiting = sorted(
        (run for run in runs if run.folder not in kept), key=lambda run: study.seeds.index(run.recipe.seed)
    )
    say.step("runs", len(kept), len(runs), "runs")
    for done, (run, result) in enumerate(_trained(waiting, say, jobs), 1):
        found[run.arm, run.recipe.seed] = result
        if isinstance(result, Fault):
            say(f"{run.name}: failed: {result.what}")
        else:
            say(f"{run.name}: {result.figures.accuracy:.2%} of test windows, {result.validation:.2%} of validation")
        say.step("runs", len(kept) + done, len(runs), "runs")
    ordered = [found[arm, seed] for arm in recipes for seed in study.seeds]
    return Outcome(
        study=study,
        results=tuple(each for each in ordered if isinstance(each, Result)),
        faults=tuple(each for each in ordered if isinstance(each, Fault)),
    )


def train_and_measure(run: Run, say: Progress) -> Result:
    """One run from its recipe to its result, which is kept in its folder. Goes on where an earlier try stopped."""
    recipe = run.recipe
    kept = (run.folder / "checkpoint" / "log.json").is_file()
    card = produce(recipe, run.folder, say, resume=kept, jobs=1, data=run.data)
    budgets, drops = _curves(run, card, say)
    result = Result(
        arm=run.arm,
        seed=recipe.seed,
        figures=card.figures,
        best_epoch=card.training["best_epoch"],
        validation=card.training["validation"],
        budgets=budgets,
        drops=drops,
    )
    new = run.folder / f"{RESULT}.new"
    new.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1))
    new.rename(run.folder / RESULT)
    return result


def _curves(run: Run, card: Card, say: Progress) -> tuple[tuple[BudgetPoint, ...], tuple[DropPoint, ...]]:
    if not (run.budgets_ms or run.drops):
        return (), ()
    clips = prepare(run.recipe, "test", run.data, 1, lambda *_: None)
    curves = measure_curves(
        run.folder / "model",
        card,
        clips,
        clips.windows_each(run.recipe.sampling, run.recipe.input),
        [round(1000 * budget) for budget in budgets_of(run.budgets_ms, run.recipe)],
        run.drops,
        SEEDS,
        lambda done, total: say.step("curves", done, total, "windows"),
    )
    return curves.budgets, curves.drops


def _run(study: Study, arm: str, recipe: Recipe, seed: int, data_key: str, out: Path) -> Run:
    seeded = msgspec.structs.replace(recipe, seed=seed)
    about = msgspec.json.encode((seeded, data_key, study.budgets, study.drops))
    safe = "".join(letter if letter.isalnum() or letter in "-_+" else "_" for letter in arm)
    folder = out / "runs" / f"{safe}-seed{seed}-{hashlib.sha256(about).hexdigest()[:10]}"
    return Run(arm, seeded, folder, out / "data", study.budgets, study.drops)


def _kept(run: Run) -> Result | None:
    """The result of a run that was finished before; a file that is not whole counts for nothing."""
    try:
        return msgspec.json.decode((run.folder / RESULT).read_bytes(), type=Result)
    except (OSError, msgspec.DecodeError):
        return None


def _prepared(recipe: Recipe, folder: Path, say: Progress, jobs: int, notes: dict[str, None]) -> str:
    """Make the clips of all splits, unless they are there; returns what stands for their content.

    What is to be said of the data joins `notes`, as their keys: arms that share data would all say the same.
    """
    keys = []
    for split in SPLITS:
        clips = prepare(
            recipe, split, folder, jobs, partial(say.step, f"{split} clips", unit="recordings"), notes.setdefault
        )
        # Kept clips carry the digest of all that they depend on in their file's name.
        assert isinstance(clips.counts, np.memmap)
        keys.append(Path(str(clips.counts.filename)).stem)
    return " ".join(keys)


def _trained(runs: list[Run], say: Progress, jobs: int) -> Iterator[tuple[Run, Result | Fault]]:
    """Results as they come: in this process one after the other, or from several processes."""
    if jobs <= 1 or len(runs) <= 1:
        for run in runs:
            say(f"{run.name} begins")
            yield run, _attempt(run, _Here(say))
        return
    context = multiprocessing.get_context("spawn")
    # Read by the new processes as they load numpy's and torch's libraries.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with _heard(context, say) as queue:
        pool = ProcessPoolExecutor(min(jobs, len(runs)), context, initializer=_begin, initargs=(queue,))
        with pool:
            waiting: dict[Future[Result | Fault], Run] = {pool.submit(_remote, run): run for run in runs}
            try:
                for future in as_completed(waiting):
                    yield waiting[future], _outcome(future, waiting[future])
            except BaseException:
                # Interrupted: what has not begun shall not.
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _outcome(future: Future[Result | Fault], run: Run) -> Result | Fault:
    try:
        return future.result()
    except BrokenProcessPool:
        what = "a process of the study died (killed, or out of memory); the same command goes on from here"
        return Fault(arm=run.arm, seed=run.recipe.seed, what=what)


def _attempt(run: Run, say: Progress) -> Result | Fault:
    """A run whose failure does not end the study."""
    import torch

    torch.set_num_threads(1)
    try:
        return train_and_measure(run, say)
    except EvpipeError as error:
        return Fault(arm=run.arm, seed=run.recipe.seed, what=str(error))
    except Exception as error:  # a fault in one arm, whatever it is, must not lose the others
        run.folder.mkdir(parents=True, exist_ok=True)
        trace = run.folder / "fault.txt"
        trace.write_text(traceback.format_exc(), encoding="utf-8")
        what = f"{type(error).__name__}: {error} (where it arose is in {trace})"
        return Fault(arm=run.arm, seed=run.recipe.seed, what=what)


class _Here:
    """A run's progress in this process, without the sentences about data that every run would repeat."""

    def __init__(self, say: Progress) -> None:
        self.step, self.epoch = say.step, say.epoch

    def __call__(self, text: str) -> None:
        """Left out."""


class _Sender:
    """A process's progress, sent to the one that has the terminal."""

    def __init__(self, queue: Any, run: Run) -> None:
        self._queue, self._name = queue, run.name

    def __call__(self, text: str) -> None:
        """What a single run says on its way is left out: several at once would be noise."""

    def step(self, what: str, done: int, total: int, unit: str = "") -> None:
        """Parts of an epoch likewise."""

    def epoch(self, line: EpochLine, epochs: int) -> None:
        """An epoch is a step of the run's training."""
        self._queue.put((self._name, line.epoch + 1, epochs))


_queue: Any = None


def _begin(queue: Any) -> None:
    """In a new process: where to send progress."""
    global _queue  # noqa: PLW0603 - the initializer of a pool has no other way to hand on a queue
    _queue = queue


def _remote(run: Run) -> Result | Fault:
    return _attempt(run, _Sender(_queue, run))


@contextmanager
def _heard(context: Any, say: Progress) -> Iterator[Any]:
    """A queue whose messages become steps of `say` until the block ends."""
    queue = context.SimpleQueue()

    def listen() -> None:
        while (message := queue.get()) is not None:
            name, done, total = message
            say.step(name, done, total, "epochs")

    thread = Thread(target=listen, name="study progress", daemon=True)
    thread.start()
    try:
        yield queue
    finally:
        queue.put(None)
        thread.join()

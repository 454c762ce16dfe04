"""Progress of long jobs on stderr: bars with rate and time left on a terminal, plain lines off it, nothing if quiet.

Commands hand the object on; what does the work calls `step`, `epoch` and `say`, and knows of no terminal.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from itertools import pairwise
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from operators.learn.progress import EpochLine

BLOCKS = "▁▂▃▄▅▆▇█"
SHOWN_EPOCHS = 60
LONG_S = 1.0


def progress(*, quiet: bool) -> Progress:
    """The progress display that suits stderr. Use it in a `with`, or close it."""
    if quiet:
        return Quiet()
    return Live() if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else Progress()


class Progress:
    """Plain lines, each with the seconds since the start; also what the other displays are made from."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._jobs: dict[str, tuple[int, float]] = {}

    def __call__(self, text: str) -> None:
        """The same as `say`."""
        self.say(text)

    def say(self, text: str) -> None:
        """A thing done. A text that ends in "..." only passes: a terminal shows it until the next one."""
        if not text.endswith("..."):
            sys.stderr.write(f"{time.monotonic() - self._start:6.0f} s  {text}\n")
            sys.stderr.flush()

    def step(self, what: str, done: int, total: int, unit: str = "") -> None:
        """`done` of `total` units of a job, told in any order of jobs; a job ends when all is done.

        A line for each tenth of the job, where a tenth takes a second or more.
        """
        now = time.monotonic()
        tenth, since = self._jobs.setdefault(what, (0, now))
        reached = 10 * done // max(1, total)
        if done >= total:
            del self._jobs[what]
        elif reached <= tenth or now - since < LONG_S:
            return
        else:
            self._jobs[what] = (reached, now)
        if reached > tenth and now - since >= LONG_S:
            self.say(f"{what}: {done} of {total}{unit and ' ' + unit}")

    def epoch(self, line: EpochLine, epochs: int) -> None:
        """An epoch of training has ended."""
        self.say(epoch_text(line, epochs))

    def close(self) -> None:
        """Nothing follows; the terminal is as it was."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Quiet(Progress):
    """Nothing at all."""

    def say(self, text: str) -> None:
        """Not shown."""

    def step(self, what: str, done: int, total: int, unit: str = "") -> None:
        """Not shown."""


class Live(Progress):
    """Bars that move in place, with the curves of a training below them; lines of what is done scroll above.

    Colours follow NO_COLOR. The display ends by itself once no job is under way, so that what a command prints
    afterwards stands below it.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        super().__init__()
        self._console = Console(stderr=True, highlight=False)
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", style="cyan"),
            TimeRemainingColumn(compact=True),
            console=self._console,
        )
        self._tasks: dict[str, Any] = {}
        self._began: dict[str, float] = {}
        self._log: list[EpochLine] = []
        self._passing = ""
        self._live: Any = None
        atexit.register(self.close)

    def say(self, text: str) -> None:
        """A line above the bars, or for a text that only passes the line below them."""
        if text.endswith("..."):
            self._passing = text
            self._show()
            return
        self._passing = ""
        self._console.print(f"{time.monotonic() - self._start:6.0f} s  {text}", markup=False, soft_wrap=True)
        self._rest()

    def step(self, what: str, done: int, total: int, unit: str = "") -> None:
        """Move the job's bar; a long job that ends leaves a line."""
        now = time.monotonic()
        self._passing = ""
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total, rate="")
            self._began[what] = now
        spent = now - self._began[what]
        rate = f"{done / spent:.3g}{unit and ' ' + unit}/s" if spent > 0 and done else ""
        self._bars.update(self._tasks[what], completed=done, total=total, rate=rate)
        if done < total:
            self._show()
            return
        self._bars.remove_task(self._tasks.pop(what))
        if spent >= LONG_S and "epochs" not in self._tasks:
            self.say(f"{what}: {total}{unit and ' ' + unit} in {spent:.0f} s")
        self._rest()

    def epoch(self, line: EpochLine, epochs: int) -> None:
        """Draw the curves on to this epoch; the training's last lines stay on the screen."""
        if line.epoch == 0:
            self._log.clear()
        self._log.append(line)
        what, done = "epochs", line.epoch + 1
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=epochs, rate="")
        self._bars.update(self._tasks[what], completed=done, total=epochs, rate=f"{line.samples_per_s:.0f} samples/s")
        if done < epochs:
            self._show()
            return
        self._end_epochs()

    def close(self) -> None:
        """Stop drawing; curves of a training that ended early stay as lines."""
        if "epochs" in self._tasks:
            self._end_epochs()
        for task in self._tasks.values():
            self._bars.remove_task(task)
        self._tasks.clear()
        self._passing = ""
        self._rest()
        atexit.unregister(self.close)

    def _end_epochs(self) -> None:
        self._bars.remove_task(self._tasks.pop("epochs"))
        for text in [*curves(self._log), epoch_text(self._log[-1], self._log[-1].epoch + 1)]:
            self.say(text)
        self._log.clear()
        self._rest()

    def _show(self) -> None:
        """Draw what is under way."""
        from rich.console import Group
        from rich.live import Live as Screen
        from rich.text import Text

        lines = [Text(text, no_wrap=True, overflow="ellipsis") for text in curves(self._log)]
        if self._passing:
            lines.append(Text(self._passing, style="dim", no_wrap=True, overflow="ellipsis"))
        shown = Group(*([self._bars] if self._tasks else []), *lines)
        if self._live is None:
            self._live = Screen(
                shown,
                console=self._console,
                refresh_per_second=8,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        self._live.update(shown)

    def _rest(self) -> None:
        """Show what goes on, or give the terminal back if nothing does."""
        if self._tasks or self._passing:
            self._show()
        elif self._live is not None:
            self._live.stop()
            self._live = None


def epoch_text(line: EpochLine, epochs: int) -> str:
    """One epoch in words: loss, validation, speed, and what the training itself has to say."""
    told = line.told()
    return (
        f"epoch {line.epoch + 1}/{epochs}: loss {line.loss:.5f}, validation {line.validation:.2%}, "
        f"{line.samples_per_s:.0f} samples/s" + (f", {told}" if told else "")
    )


def curves(log: Sequence[EpochLine]) -> list[str]:
    """Validation accuracy and loss over the epochs so far, one line each, in eighths of a line's height."""
    if not log:
        return []
    best = max(log, key=lambda line: (line.validation, line.epoch))
    return [
        f"  validation {spark([line.validation for line in log])} {log[-1].validation:.1%}, "
        f"best {best.validation:.1%} in epoch {best.epoch + 1}",
        f"  loss       {spark([line.loss for line in log])} {log[-1].loss:.4g}",
    ]


def spark(values: Sequence[float], width: int = SHOWN_EPOCHS) -> str:
    """A curve as a word of block characters, the lowest value the lowest block; more than `width` are averaged."""
    if len(values) > width:
        cuts = [i * len(values) // width for i in range(width + 1)]
        values = [sum(values[a:b]) / (b - a) for a, b in pairwise(cuts)]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(BLOCKS[min(7, int(8 * (value - low) / span))] for value in values)

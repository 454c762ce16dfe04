"""What a study found: mean and standard deviation of each arm over its seeds, as numbers and as a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from pathlib import Path
from statistics import fmean, stdev

import msgspec

from operators.learn import page, plots
from operators.learn.curves import BudgetPoint, DropPoint
from operators.learn.plots import Panel
from operators.learn.study import Outcome, Result


class Spread(msgspec.Struct, frozen=True):
    """Mean and standard deviation (n - 1; None for one value) over seeds."""

    mean: float
    sd: float | None

    def text(self, form: str = "{:.2%}", sd_form: str = "{:.2%}") -> str:
        """As people write it."""
        return form.format(self.mean) + ("" if self.sd is None else f" ± {sd_form.format(self.sd)}")


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """One arm over its finished seeds, all on the test data.

    `gain`: accuracy of windows above that of the first arm, seed by seed (None where no seed is in both). `drops` and
    `budgets` hold means over seeds; their `_sd` are standard deviations over seeds.
    """

    name: str
    seeds: tuple[int, ...]
    accuracy: Spread
    per_recording: Spread
    gain: Spread | None
    baseline: Spread
    chance: float
    firing_rate: Spread
    energy_uj: Spread
    budgets: tuple[BudgetPoint, ...]
    drops: tuple[DropPoint, ...]


def arms(outcome: Outcome) -> list[Arm]:
    """The arms that have a result, in the order of the file."""
    names = [name for name in outcome.study.arms if outcome.of(name)]
    first = {result.seed: result.figures.accuracy for result in outcome.of(names[0])} if names else {}
    return [_arm(name, outcome.of(name), first) for name in names]


def write(folder: Path, outcome: Outcome, study_text: str, command: str) -> Path:
    """Write `study.json` and `study.html` into a folder; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    found = arms(outcome)
    whole = {"arms": found, "results": outcome.results, "faults": outcome.faults, "study": outcome.study}
    (folder / "study.json").write_bytes(msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n")
    study = outcome.study
    body = [f"<h1>{escape(study.name)}</h1>", f"<p>{escape(study.about)}</p>", f"<p>{escape(RULE)}</p>"]
    if outcome.faults:
        lines = "".join(f"<li>{escape(f'{f.arm}, seed {f.seed}: {f.what}')}</li>" for f in outcome.faults)
        body += ["<h2>Failed</h2>", f"<ul>{lines}</ul>"]
    if found:
        body += ["<h2>Arms</h2>", page.table(HEAD, [[escape(c) for c in row] for row in rows(found)], range(1, 9))]
        body += curve_tables(found)
        body += ["<h2>Pictures</h2>", '<div class="panels">', *(_figure(p) for p in panels(outcome, found)), "</div>"]
    body += ["<h2>Every run</h2>", _runs(outcome)]
    body += ["<h2>Study</h2>", f"<pre>{escape(study_text)}</pre>"]
    body += ["<h2>Repeat it</h2>", f"<pre>{escape(command)}</pre>"]
    path = folder / "study.html"
    path.write_text(page.page(study.name, body), encoding="utf-8")
    if found:
        plots.sheet(panels(outcome, found), folder / "study.png")
    return path


RULE = (
    "Every figure is measured once, on test data that training and the choice of the epoch never saw. "
    "Mean ± standard deviation over seeds; a seed sets weights and draws, not the data."
)
HEAD = ("arm", "seeds", "windows", "above the first", "recordings", "baseline", "chance", "firing", "energy, uJ")


def rows(found: Sequence[Arm]) -> list[list[str]]:
    """The table of arms, under `HEAD`."""
    return [
        [
            arm.name,
            str(len(arm.seeds)),
            arm.accuracy.text(),
            "-" if arm.gain is None or arm is found[0] else arm.gain.text("{:+.2%}"),
            arm.per_recording.text(),
            f"{arm.baseline.mean:.2%}",
            f"{arm.chance:.2%}",
            arm.firing_rate.text("{:.4f}", "{:.4f}"),
            arm.energy_uj.text("{:.2f}", "{:.2f}"),
        ]
        for arm in found
    ]


def budget_rows(found: Sequence[Arm]) -> tuple[list[str], list[list[str]]]:
    """(head, rows) of accuracy by arm and time budget."""
    budgets = sorted({point.budget_ms for arm in found for point in arm.budgets})
    lines = []
    for arm in found:
        several = len(arm.seeds) > 1
        by_budget = {
            point.budget_ms: Spread(point.accuracy, point.accuracy_sd if several else None).text()
            for point in arm.budgets
        }
        lines.append([arm.name, *(by_budget.get(budget, "-") for budget in budgets)])
    return ["arm", *(f"{budget:g} ms" for budget in budgets)], lines


def drop_rows(found: Sequence[Arm]) -> tuple[list[str], list[list[str]]]:
    """(head, rows) of accuracy by arm, way of choosing, and share of frames left out."""
    shares = sorted({point.share for arm in found for point in arm.drops})
    ways: tuple[tuple[str, Callable[[DropPoint], float | None]], ...] = (
        ("by attention", lambda point: point.attention),
        ("the quietest", lambda point: point.busiest),
        ("at random", lambda point: point.random),
    )
    lines = []
    for arm in found:
        for way, of in ways:
            values = {point.share: of(point) for point in arm.drops}
            cells = ["-" if (value := values.get(share)) is None else f"{value:.2%}" for share in shares]
            lines.append([arm.name, way, *cells])
    return ["arm", "left out", *(f"{share:.0%}" for share in shares)], lines


def curve_tables(found: Sequence[Arm]) -> list[str]:
    """Tables of what was measured with less to go on."""
    made = []
    for title, (head, lines), text in (
        ("Accuracy over time budget", budget_rows(found), 1),
        ("Accuracy with frames left out", drop_rows(found), 2),
    ):
        if len(head) > text:
            cells = [[escape(cell) for cell in line] for line in lines]
            made += [f"<h2>{title}</h2>", page.table([escape(c) for c in head], cells, range(text, len(head)))]
    return made


def panels(outcome: Outcome, found: Sequence[Arm]) -> list[Panel]:
    """The study's pictures."""
    chance = found[0].chance

    def of(value: Callable[[Result], float]) -> dict[str, Sequence[float]]:
        return {arm.name: [value(result) for result in outcome.of(arm.name)] for arm in found}

    shown = [
        Panel(
            "Windows answered right",
            "A dot for each seed; mean and standard deviation beside them.",
            (6, 3.8),
            partial(plots.dots, values=of(lambda r: r.figures.accuracy), unit="accuracy on test windows", share=True),
        ),
        Panel(
            "Firing rate",
            "Outputs per neuron and step over all layers.",
            (6, 3.8),
            partial(plots.dots, values=of(lambda r: r.figures.firing_rate), unit="per neuron and step", share=False),
        ),
    ]
    budgets = {arm.name: arm.budgets for arm in found if arm.budgets}
    drops = {arm.name: arm.drops for arm in found if arm.drops}
    if budgets:
        draw = partial(plots.budgets, lines=budgets, chance=chance)
        shown.append(Panel("Accuracy over time budget", "Only the last frames of a window enter.", (6, 4.2), draw))
    if drops:
        caption = "Solid: by attention, where the arm has it on frames. Dashed: at random, sd over seeds shaded."
        draw = partial(plots.drops, lines=drops, chance=chance)
        shown.append(Panel("Accuracy with frames left out", caption, (6, 4.2), draw))
    return shown


def _figure(panel: Panel) -> str:
    return page.figure(panel.title, plots.picture(panel), panel.caption)


def _runs(outcome: Outcome) -> str:
    head = ["arm", "seed", "windows", "recordings", "validation", "epoch kept", "firing", "energy, uJ"]
    lines = [
        [
            escape(run.arm),
            str(run.seed),
            f"{run.figures.accuracy:.2%}",
            f"{run.figures.per_recording:.2%}",
            f"{run.validation:.2%}",
            str(run.best_epoch),
            f"{run.figures.firing_rate:.4f}",
            f"{run.figures.energy_uj:.2f}",
        ]
        for run in outcome.results
    ]
    return page.table(head, lines, range(1, len(head)))


def _arm(name: str, results: Sequence[Result], first: dict[int, float]) -> Arm:
    def over(value: Callable[[Result], float]) -> Spread:
        return _spread([value(result) for result in results])

    gains = [result.figures.accuracy - first[result.seed] for result in results if result.seed in first]
    return Arm(
        name=name,
        seeds=tuple(result.seed for result in results),
        accuracy=over(lambda result: result.figures.accuracy),
        per_recording=over(lambda result: result.figures.per_recording),
        gain=_spread(gains) if gains else None,
        baseline=over(lambda result: result.figures.baseline),
        chance=results[0].figures.chance,
        firing_rate=over(lambda result: result.figures.firing_rate),
        energy_uj=over(lambda result: result.figures.energy_uj),
        budgets=tuple(_budget(points) for points in zip(*(result.budgets for result in results), strict=True)),
        drops=tuple(_drop(points) for points in zip(*(result.drops for result in results), strict=True)),
    )


def _budget(points: Sequence[BudgetPoint]) -> BudgetPoint:
    found = _spread([point.accuracy for point in points])
    return msgspec.structs.replace(points[0], accuracy=found.mean, accuracy_sd=found.sd or 0.0)


def _drop(points: Sequence[DropPoint]) -> DropPoint:
    chosen = [point.attention for point in points if point.attention is not None]
    drawn = _spread([point.random for point in points])
    return msgspec.structs.replace(
        points[0],
        attention=round(fmean(chosen), 5) if len(chosen) == len(points) else None,
        busiest=round(fmean(point.busiest for point in points), 5),
        random=drawn.mean,
        random_sd=drawn.sd or 0.0,
    )


def _spread(values: Sequence[float]) -> Spread:
    return Spread(round(fmean(values), 5), round(stdev(values), 5) if len(values) > 1 else None)

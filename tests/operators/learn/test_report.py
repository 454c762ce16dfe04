"""The report: one page that needs nothing else, with the figures it was given."""

import re
from functools import partial
from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest

from operators.learn import plots
from operators.learn.curves import BudgetPoint, DropPoint, measure_curves
from operators.learn.evaluation import measure
from operators.learn.latency import measure_latency
from operators.learn.plots import Panel
from operators.learn.report import confusions, write
from operators.learn.training import Epoch
from operators.model_card import Figures, read_card

LOG = [
    Epoch(
        epoch=n, loss=0.1 / (n + 1), validation=0.5 + 0.1 * n, busy_score=0.8, quiet_score=0.3, train_accuracy=0.4,
        learning_rate=1e-3 / (n + 1), firing=(0.1, 0.2), seconds=1.0, samples_per_s=100.0,
    )
    for n in range(3)
]  # fmt: skip


class Page(HTMLParser):
    """Tags that are open, what refers outside, and the images."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.outside, self.images, self.tags = [], [], 0, set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag not in ("meta", "img"):
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href"):
                self.images += value.startswith("data:image/png;base64,iVBOR")
                self.outside += [] if value.startswith("data:") else [value]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def card(model):
    return msgspec.structs.replace(read_card(model), about="bars <b>& noise", repeat="evpipe eval toy --json")


@pytest.fixture
def measured(model, card, clips):
    return measure(model, card, clips(4, 1), 1)


def test_the_page_stands_alone(tmp_path, model, card, clips, measured) -> None:
    """No script, nothing from elsewhere, every tag closed, text escaped, all pictures inside."""
    data = clips(2, 1)
    curves = measure_curves(model, card, data, 1, [60_000, 480_000], [0.0, 0.5], seeds=2)
    path = write(
        tmp_path / "r", card, LOG, "evpipe_recipe: 1 # <x>", measured, curves, measure_latency(model, card, data)
    )
    text = path.read_text()
    page = Page(text)
    assert (page.open, page.outside, page.images) == ([], [], 8)
    assert "script" not in page.tags
    assert "url(" not in text
    assert "@import" not in text
    assert "bars &lt;b&gt;&amp; noise" in text
    assert "evpipe_recipe: 1 # &lt;x&gt;" in text
    assert "evpipe eval toy --json" in text
    assert f"{measured.figures.accuracy:.4f}" in text
    assert f"{measured.figures.energy_uj:.2f} uJ" in text
    assert "look-ahead" in text
    assert (tmp_path / "r" / "report.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_figures_give_the_same_page_and_no_log_no_learning_curves(tmp_path, card, measured) -> None:
    one, two = (write(tmp_path / name, card, [], "", measured) for name in ("a", "b"))
    assert one.read_bytes() == two.read_bytes()
    assert (tmp_path / "a/report.png").read_bytes() == (tmp_path / "b/report.png").read_bytes()
    assert Page(one.read_text()).images == 4
    assert "Accuracy while training" not in one.read_text()


def test_the_weakest_come_first() -> None:
    """By the share of the class, `nothing` included; classes without windows do not divide by zero."""
    figures = Figures(
        accuracy=0.5, baseline=0.3, chance=0.5, windows=33, per_class={"bow": 0.5, "walk": 0.9},
        confusion=((5, 3, 0, 2), (1, 19, 0, 3), (0, 0, 0, 0)),
    )  # fmt: skip
    assert confusions(figures, ["bow", "walk", "sit"]) == [
        ("bow", "walk", 3, 10),
        ("bow", "nothing", 2, 10),
        ("walk", "nothing", 3, 23),
        ("walk", "bow", 1, 23),
    ]


def test_a_page_says_when_the_baseline_is_better(tmp_path, card, measured) -> None:
    figures = msgspec.structs.replace(measured.figures, accuracy=0.4, baseline=0.6)
    text = write(tmp_path, card, [], "", msgspec.structs.replace(measured, figures=figures)).read_text()
    assert "no better than logistic regression on summed counts (-20.0 points)" in text


@pytest.mark.parametrize(("accuracy", "chance"), [(0.0, 0.9), (1.0, 0.01), (0.5, 0.5)])
def test_curves_are_drawn_wherever_they_lie(tmp_path, accuracy, chance) -> None:
    """Points at either end of the scale, above and below chance: the picture keeps its layout (a warning fails)."""
    budget = BudgetPoint(budget_ms=60, frames=2, accuracy=accuracy)
    drop = DropPoint(
        share=0.5, frames_left_out=8, attention=None, busiest=accuracy, random=accuracy, random_sd=0.0, seeds=10
    )
    shown = [
        Panel("budgets", "", (6, 3.8), partial(plots.budgets, lines={"a": [budget]}, chance=chance)),
        Panel("drops", "", (6, 3.8), partial(plots.drops, lines={"a": [drop], "b": [drop]}, chance=chance)),
        Panel("dots", "", (6, 3.8), partial(plots.dots, values={"a": [accuracy], "b": []}, unit="", share=True)),
    ]
    plots.sheet(shown, tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 10_000


def test_a_perfect_model_and_one_without_scores_have_pages(tmp_path, card, measured) -> None:
    perfect = np.diag([4, 4, 4, 0])[:3].tolist()
    figures = msgspec.structs.replace(measured.figures, confusion=tuple(map(tuple, perfect)))
    text = write(tmp_path, card, LOG, "", msgspec.structs.replace(measured, figures=figures, scores=None)).read_text()
    assert "Every window was answered right" in text
    assert not re.search("Attention on raw frames", text)

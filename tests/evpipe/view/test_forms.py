"""The forms of fusion that blocks take: counted from the extras of scores, shown below their bars."""

from __future__ import annotations

import numpy as np
import pytest

from evpipe.packets import Scores
from evpipe.view.forms import REMEMBERED, FormHistory

LABELS = ("walking", "waving", "falling")


def answer(t1_us: int, **extras: float) -> Scores:
    none = np.zeros(0, np.float32)
    values = np.array([0.1, 0.7, 0.2], np.float32)
    return Scores(
        t0_us=t1_us - 40_000, t1_us=t1_us, labels=LABELS, values=values, attention=none, kept=none.astype(bool),
        extras=extras,
    )  # fmt: skip


def test_shares_of_the_last_hundred() -> None:
    """The newest form, and how often each was taken of late; what is older than 100 answers does not count."""
    history = FormHistory()
    for i in range(40):
        history.add(answer(i, form_1=0.0, form_2=2.0))
    for i in range(75):
        forms = history.add(answer(i, form_1=1.0, form_2=2.0))
    assert forms is not None
    assert (forms.columns, forms.now, forms.n) == (("1", "2"), (1, 2), REMEMBERED)
    np.testing.assert_allclose(forms.shares, [[0.25, 0.75, 0.0], [0.0, 0.0, 1.0]])


def test_a_session_begins_anew() -> None:
    """So do other blocks; an answer without forms tells nothing."""
    history = FormHistory()
    history.add(answer(0, form_1=0.0, session=0.0))
    forms = history.add(answer(1, form_1=2.0, session=1.0))
    assert forms is not None
    assert (forms.n, forms.shares.tolist()) == (1, [[0.0, 0.0, 1.0]])
    forms = history.add(answer(2, form_1_rgb=1.0, form_1_events=0.0, session=1.0))
    assert forms is not None
    assert (forms.columns, forms.n) == (("1 rgb", "1 ev"), 1)
    assert history.add(answer(3, margin=0.5)) is None


@pytest.mark.parametrize("size", [(860, 580), (1280, 800), (1920, 1080)])
def test_below_the_bars(open_window, make, size: tuple[int, int]) -> None:
    """A strip of blocks and forms appears with the first answer that tells of them, and no class is squeezed out."""
    rig = open_window(("camera.events", "camera.frame", "pairs.frame_pair", "fusion.scores"))
    rig.window.resize(*size)
    panel = rig.window.views.panels[0]
    rig.settle()
    assert not panel.forms.isVisible()
    rig.op.on_scores(answer(500_000, n=3.0, complete=0.0, margin=0.5, rgb=0.0, form_1=0.0, form_2=2.0, session=0.0))
    for _ in range(3):
        rig.settle()
    assert panel.forms.isVisible()
    assert panel.forms.height() < 110
    assert panel.bars.height() >= 120
    assert rig.window.views._cards["scores"]._note == "3 pairs so far  ·  margin 0.50"


def test_the_strip_is_painted(open_window, make) -> None:
    """The form taken now is framed in its row; the shade of a cell follows its share."""
    rig = open_window(("fusion.scores",))
    for i in range(8):
        rig.op.on_scores(answer(i, form_1=0.0, form_2=float(i % 2), session=0.0))
    rig.settle()
    strip = rig.window.views.panels[0].forms
    image = strip.grab().toImage()

    def colour(row: int, column: int) -> tuple[int, int, int]:
        pitch = (strip.width() - 8 - 108) / 2
        pixel = image.pixelColor(round(112 + column * pitch + 8), round(24 + row * 19 + 9))
        return pixel.red(), pixel.green(), pixel.blue()

    blue = [[colour(row, column)[2] for column in range(2)] for row in range(3)]
    assert blue[0][0] > blue[0][1] > blue[1][0] == blue[2][0] == blue[2][1]
    assert blue[1][1] == pytest.approx(blue[0][1], abs=2)

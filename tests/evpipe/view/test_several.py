"""Several classifiers and several detectors before one window: each with its place and its node's name."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from evpipe.errors import NodeError
from evpipe.operator import InputState
from evpipe.packets import Imu

EVERYTHING = (
    "camera.events", "camera.frame", "pairs.frame_pair", "bins.tensor", "har.scores", "fusion.scores", "track.boxes",
)  # fmt: skip


def test_a_panel_for_each_classifier(open_window, make) -> None:
    """Named by its node, in the order of the graph; what one says does not touch the other."""
    rig = open_window(EVERYTHING)
    views = rig.window.views
    rig.settle()
    assert [views._cards[name]._title for name in ("scores", "scores_1")] == ["Scores  ·  har", "Scores  ·  fusion"]
    assert [panel.bars.waiting for panel in views.panels] == ["Waiting for har.scores", "Waiting for fusion.scores"]
    rig.op.on_any(make.scores(500_000, (0.9, 0.05, 0.05), steps=0), "fusion.scores")
    rig.op.on_any(make.scores(500_000, (0.0, 0.8, 0.2)), "har.scores")
    rig.op.on_any(make.scores(520_000, (0.1, 0.1, 0.8), steps=0), "fusion.scores")
    rig.settle()
    assert [panel.bars._scores.best[0] for panel in views.panels] == ["waving", "falling"]
    assert all(panel.isVisible() for panel in views.panels)


def test_attention_is_that_of_the_classifier_that_has_some(open_window, make) -> None:
    """The binned steps belong to the scores with attention, whoever spoke last."""
    rig = open_window(EVERYTHING)
    rig.op.on_any(make.tensor(500_000), "bins.tensor")
    rig.op.on_any(make.tensor(560_000), "bins.tensor")
    rig.op.on_any(make.scores(500_000), "har.scores")
    rig.op.on_any(make.scores(560_000, steps=0), "fusion.scores")
    rig.settle()
    assert rig.op._board.take().steps.t1_us == 500_000
    assert len(rig.window.views.tensor._attention) == 4


@pytest.mark.parametrize("size", [(860, 580), (1280, 800), (1920, 1080)])
def test_layout(open_window, make, size: tuple[int, int]) -> None:
    """All has its place: pictures in the left column, classifiers in the right one, no picture a mere stripe."""
    rig = open_window(EVERYTHING)
    rig.window.resize(*size)
    rig.op.on_events(make.block(0))
    rig.op.on_frame(make.frame())
    rig.op.on_frame_pair(make.frame_pair())
    for _ in range(3):
        rig.settle()
    views = rig.window.views
    for view in (views.events, views.frame, views.frame_pair, views.tensor, *views.panels):
        assert view.isVisible()
        assert view.width() > 150
        assert view.height() > 90
    assert views.rate.isVisible() == (size[1] > 1000)
    assert views.events.width() > views.frame.width()


def test_all_kinds_in_one_column(open_window, make) -> None:
    """Without anything for the right column the rate stands below the others."""
    rig = open_window(("camera.events", "pairs.frame_pair", "bins.tensor"))
    rig.op.on_events(make.block(0))
    rig.settle()
    views = rig.window.views
    for view in (views.events, views.frame_pair, views.tensor, views.rate):
        assert view.isVisible()
        assert view.width() > 800 or view is views.tensor
        assert view.height() > 60


def test_one_without_a_name_is_the_one_that_is_wired(open_window, make) -> None:
    """A named input brings no origin: scores of the only classifier, titled as ever."""
    rig = open_window(("har.scores",))
    rig.op.on_scores(make.scores(500_000))
    rig.settle()
    assert list(rig.op._board.take().scores) == ["har.scores"]
    assert rig.window.views._cards["scores"]._title == "Scores"
    assert len(rig.window.views.panels) == 1


def test_boxes_of_two_detectors(open_window, make) -> None:
    """Both are drawn, labels with the node's name; the one that fell silent goes, the other stays."""
    rig = open_window(("camera.events", "cars.boxes", "people.boxes"))
    rig.op.on_events(make.block(0))
    rig.op.on_any(make.boxes(10_000), "cars.boxes")
    other = msgspec.structs.replace(make.boxes(10_000), labels=("adult", "child"), label=np.ones(1, np.int16))
    rig.op.on_any(other, "people.boxes")
    views = rig.window.views
    shown = views._newest_boxes(rig.op._board.take())
    assert [shown.labels[k] for k in shown.label] == ["cars person", "people child"]
    assert views._newest_boxes(rig.op._board.take()) is shown
    rig.op.on_events(make.events(10_000, [], 600_000))
    rig.op.on_any(msgspec.structs.replace(other, t1_us=590_000), "people.boxes")
    assert views._newest_boxes(rig.op._board.take()).labels == ("adult", "child")


def test_kinds_without_a_view_are_refused(open_window, make) -> None:
    """By name, with what to do; kinds with one go their way."""
    rig = open_window(("camera.events",))
    rig.op.on_any(make.block(0), "camera.events")
    rig.op.on_any(make.frame(0), "camera.frame")
    rig.op.on_any(make.frame_pair(0), "pairs.frame_pair")
    assert rig.op._board.take().heard_s.keys() == {"events", "frame", "frame_pair"}
    none = np.zeros((0, 3), np.float32)
    with pytest.raises(NodeError, match=r"shows no Imu; take camera\.imu out"):
        rig.op.on_any(Imu(t0_us=0, t1_us=1, t=np.zeros(0, np.int64), accel=none, gyro=none), "camera.imu")


@pytest.mark.parametrize("first", ["har.scores", "fusion.scores"])
def test_whoever_speaks_first(open_window, make, first: str) -> None:
    """Panels stand in the order of the graph, with room for the forms below, also where the window learns it late."""
    rig = open_window(())
    rig.op.on_events(make.block(0))
    rig.settle()
    forms = {"form_1": 0.0, "form_2": 2.0, "session": 0.0}
    fusion = msgspec.structs.replace(make.scores(500_000, steps=0), extras=forms)
    answers = {"har.scores": make.scores(500_000, (0.9, 0.0, 0.1)), "fusion.scores": fusion}
    rig.op.on_any(answers[first], first)
    rig.settle()
    rig.context.states = [InputState(origin, 1, 0, 1.0) for origin in EVERYTHING]
    rig.window._figures_at = 0.0
    for origin, answer in answers.items():
        rig.op.on_any(answer, origin)
        for _ in range(3):
            rig.settle()
    har, fusion_panel = rig.window.views.panels
    assert har.bars._scores.best[0] == "walking"
    assert fusion_panel.bars._scores.best[0] == "waving"
    assert (har.forms.isVisible(), fusion_panel.forms.isVisible()) == (False, True)
    assert abs(fusion_panel.height() - har.height() - 100) < 10

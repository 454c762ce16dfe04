"""All views, and where they stand: chosen by the kinds of packets that are wired, resizable by their borders."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QSplitter, QVBoxLayout, QWidget

from evpipe.operator import InputState
from evpipe.packets import Boxes
from evpipe.view import theme, words
from evpipe.view.accumulation_tool import AccumulationTool
from evpipe.view.attention_view import AttentionView
from evpipe.view.board import Shown, kind_of
from evpipe.view.card import Card
from evpipe.view.class_bars import ClassBars
from evpipe.view.events_view import EventsView
from evpipe.view.frame_view import FrameView
from evpipe.view.pair_picture import PairPicture
from evpipe.view.pair_view import PairView
from evpipe.view.palettes import Palette
from evpipe.view.rate_plot import RatePlot
from evpipe.view.score_panel import ScorePanel
from evpipe.view.surface import Accumulation, EventSurface

_SIDE_PX = 350
_ALL_PX = 690  # height that the columns share in a window of 800 px
_HEIGHTS = {"frame": 195, "frame_pair": 250, "tensor": 160, "rate": 160}
_LEAST_RATE_PX = 118
_FORMS_PX = 102  # what the strip of forms adds to a panel
_ROWS = 4  # events, pairs, steps, rate: where nothing stands at their right
_TALL_PX = 850  # views as high as this have room for the rate beside several classifiers
_BOXES_LAST_US = 500_000


class Views(QWidget):
    """Two columns: large, events (or pairs, or frames) over pairs and binned steps; at its right, the others.

    Without frame and scores there is one column. With several classifiers the right one is theirs, and pictures stand
    beside each other in the left.
    """

    accumulation_asked = Signal(object)

    def __init__(self, surface: EventSurface, palette: Palette, scale: float | None) -> None:
        super().__init__()
        self.events = EventsView(surface, palette, scale)
        self.frame = FrameView(self.events.layer)
        self.frame_pair = PairView()
        self.panels = [ScorePanel()]
        self.tensor = AttentionView()
        self.rate = RatePlot()
        self._cards = {
            "events": Card("Events", self.events),
            "frame": Card("Frame", self.frame),
            "frame_pair": Card("Frame and its events", self.frame_pair),
            "scores": Card("Scores", self.panels[0]),
            "tensor": Card("Binned steps and attention", self.tensor),
            "rate": Card("Event rate", self.rate),
        }
        self._tool = AccumulationTool()
        self._tool.changed.connect(self.accumulation_asked)
        self._cards["events"].add_tool(self._tool)
        self._arranged: tuple[object, ...] | None = None
        self._origins: tuple[str, ...] = ()
        self._boxes: tuple[Mapping[str, Boxes], Boxes | None] = ({}, None)
        self._left, self._right = QSplitter(Qt.Orientation.Vertical), QSplitter(Qt.Orientation.Vertical)
        self._columns = QSplitter(Qt.Orientation.Horizontal)
        self._rows = [QSplitter(Qt.Orientation.Horizontal) for _ in range(_ROWS)]
        for splitter in (self._left, self._right, self._columns, *self._rows):
            splitter.setHandleWidth(theme.GAP)
            splitter.setChildrenCollapsible(False)
        for row in self._rows:
            self._left.addWidget(row)
        self._columns.addWidget(self._left)
        self._columns.addWidget(self._right)
        self._columns.setStretchFactor(0, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._columns)

    @property
    def scores(self) -> ClassBars:
        """The bars of the first classifier."""
        return self.panels[0].bars

    def set_accumulation(self, accumulation: Accumulation) -> None:
        """Change what one picture of events holds."""
        self.events.accumulation = accumulation
        self._tool.show_accumulation(accumulation)
        self.events.redraw()

    def name_inputs(self, inputs: Sequence[InputState]) -> None:
        """Let each view say what it waits for."""
        origins = {kind_of(state): state.origin for state in reversed(inputs)}
        self.events.waiting = f"Waiting for {origins.get('events', 'events')}"
        self.frame.waiting = f"Waiting for {origins.get('frame', 'frames')}"
        self.frame_pair.wait_for(f"Waiting for {origins.get('frame_pair', 'pairs')}")
        self.tensor.waiting = f"Waiting for {origins.get('tensor', 'binned events')}"

    def show_kinds(self, kinds: Collection[str], origins: Sequence[str], forms: Collection[str]) -> None:
        """Show the views of these kinds of packets; acts only when they change.

        `origins`: ports (`node.port`) that give scores, a panel each; `forms`: those of them that tell of forms.
        """
        wanted = frozenset(kinds) & {"events", "frame", "frame_pair", "tensor", "scores", "boxes"}
        if "boxes" in wanted or not wanted:
            wanted |= {"events"}
        tall = self.height() >= _TALL_PX
        arrangement = (wanted, tuple(origins), frozenset(forms), tall)
        if arrangement == self._arranged:
            return
        self._arranged, self._origins = arrangement, tuple(origins)
        panels = self._name_panels() if "scores" in wanted else []
        several = len(panels) > 1
        main: str | None = next((kind for kind in ("events", "frame_pair", "frame") if kind in wanted), None)
        pictures: list[str] = [main] if main else []
        below: list[str] = [kind for kind in ("frame_pair", "tensor") if kind in wanted and kind != main]
        right: list[str] = []
        if "frame" in wanted and main != "frame":
            (pictures if several else right).append("frame")
        right += panels
        rows: list[list[str]] = [pictures, below] if several else [pictures, *[[kind] for kind in below]]
        if "events" in wanted and (tall or not several):
            if right:
                right.append("rate")
            else:
                rows.append(["rate"])
        rows = [row for row in rows if row]
        for name, card in self._cards.items():
            if name not in right and not any(name in row for row in rows):
                card.hide()
        self._fill_left(rows, several=several, alone=not right)
        self._fill_right(right, [panel for panel, origin in zip(panels, origins, strict=False) if origin in forms])
        self._columns.setSizes([1280 - _SIDE_PX, _SIDE_PX])

    def _name_panels(self) -> list[str]:
        """A card for each classifier, with its node's name where there are several; the names of the cards."""
        origins = self._origins or ("",)
        while len(self.panels) < len(origins):
            self.panels.append(ScorePanel())
            self._cards[f"scores_{len(self.panels) - 1}"] = Card("Scores", self.panels[-1])
        names = ["scores", *(f"scores_{n}" for n in range(1, len(origins)))]
        for name, panel, origin in zip(names, self.panels, origins, strict=False):
            panel.stand_for(origin)
            node = origin.partition(".")[0]
            self._cards[name].set_title(f"Scores  ·  {node}" if len(origins) > 1 and node else "Scores")
            panel.bars.waiting = f"Waiting for {origin or 'scores'}"
        return names

    def _fill_left(self, rows: Sequence[Sequence[str]], *, several: bool, alone: bool) -> None:
        """Rows of cards, the first the highest."""
        low = {"rate": 120} if alone else {}
        heights = [max((_HEIGHTS | low).get(name, 0) for name in row) for row in rows[1:]]
        if several and heights:
            heights = [235]
        for row, names in zip(self._rows, [*rows, *[()] * (_ROWS - len(rows))], strict=True):
            for index, name in enumerate(names):
                row.insertWidget(index, self._cards[name])
                row.setStretchFactor(index, 1)
                self._cards[name].show()
            row.setVisible(bool(names))
            if len(names) == 2:
                row.setSizes([530, 332])
        for index, names in enumerate(rows):
            share = 2 if index == 0 else int("frame_pair" in names)
            self._left.setStretchFactor(index, share)
        self._left.setVisible(bool(rows))
        self._left.setSizes([_ALL_PX - sum(heights), *heights, *[0] * (_ROWS - len(rows))])

    def _fill_right(self, names: Sequence[str], with_forms: Sequence[str]) -> None:
        """One below the other; scores share what the others leave, with more for those that show forms."""
        tall = [name for name in names if name.startswith("scores")] or list(names[:1])
        heights = dict(_HEIGHTS)
        if with_forms:
            heights |= {"frame": 160, "rate": _LEAST_RATE_PX}
        rest = _ALL_PX - sum(heights[name] for name in names if name not in tall) - _FORMS_PX * len(with_forms)
        sizes = []
        for index, name in enumerate(names):
            self._right.insertWidget(index, self._cards[name])  # sizes go by index, what is hidden comes last
            self._right.setStretchFactor(index, 2 if name in tall else 0)
            self._cards[name].show()
            of_rest = rest // len(tall) + _FORMS_PX * (name in with_forms)
            sizes.append(of_rest if name in tall else heights[name])
        self._right.setVisible(bool(names))
        self._right.setSizes(sizes)

    def show_newest(self, shown: Shown, newest: Shown, silent_s: float, passed_ms: float) -> None:
        """Show `shown` (older than `newest` in a frozen view). Only what is visible is drawn.

        `silent_s`: for how long no events came, 0 when that is not worth saying. `passed_ms`: since the last call.
        """
        waiting: tuple[tuple[str, QWidget], ...] = (("events", self.events), ("frame", self.frame))
        for kind, view in waiting:
            if kind not in newest.heard_s:
                view.update()  # what waits turns its arc
        if "frame_pair" not in newest.heard_s:
            self.frame_pair.update_waiting()
        if self.events.isVisible():
            self._show_events(shown, silent_s)
        if shown.frame is not None and self.frame.isVisible():
            self.frame.show_frame(shown.frame)
            height, width = shown.frame.image.shape[:2]
            self._cards["frame"].set_note(f"{width} × {height}")
        if shown.pair is not None and self.frame_pair.isVisible():
            self._show_pair(shown.pair, shown.first_t_us or 0)
        self._show_scores(shown, passed_ms)
        if self.tensor.isVisible():
            self._show_steps(shown)
        if self.rate.isVisible():
            self.rate.show_course(newest.course)

    def _show_scores(self, shown: Shown, passed_ms: float) -> None:
        names = ("scores", *(f"scores_{n}" for n in range(1, len(self.panels))))
        for name, panel, origin in zip(names, self.panels, self._origins, strict=False):
            if not panel.isVisible():
                continue
            scores = shown.scores.get(origin)
            if scores is None:
                panel.bars.update()
                continue
            panel.show_answer(scores, shown.forms.get(origin), passed_ms)
            self._cards[name].set_note(words.note(scores))

    def _show_events(self, shown: Shown, silent_s: float) -> None:
        boxes = self._newest_boxes(shown)
        age_us = 0 if boxes is None or shown.t_us is None else max(0, shown.t_us - boxes.t1_us)
        if self.events.layer.show(boxes, age_us) or silent_s != self.events.silent_s:
            self.events.silent_s = silent_s
            self.events.update()
            self.frame.update()
        self.events.redraw()
        height, width = self.events.surface.shape
        if width:
            count, exact = self.events.surface.count(self.events.accumulation)
            events = f"{'' if exact else '≥ '}{words.quantity(count)} events"
            self._cards["events"].set_note(f"{width} × {height}   ·   {events}")

    def _newest_boxes(self, shown: Shown) -> Boxes | None:
        """The boxes of every detector that did not fall silent, as one; the same object while nothing changes."""
        fresh = {
            origin: boxes
            for origin, boxes in shown.boxes.items()
            if shown.t_us is not None and shown.t_us - boxes.t1_us <= _BOXES_LAST_US
        }
        before, together = self._boxes
        if fresh.keys() != before.keys() or any(fresh[origin] is not before[origin] for origin in fresh):
            together = _together(fresh)
            self._boxes = (fresh, together)
        return together

    def _show_pair(self, pair: PairPicture, first_us: int) -> None:
        self.frame_pair.show_pair(pair, self.events.colours)
        counts = f"   ·   {words.quantity(pair.n_on)} ON, {words.quantity(pair.n_off)} OFF"
        self._cards["frame_pair"].set_note(words.time_span(pair.t0_us - first_us, pair.t1_us - first_us) + counts)

    def _show_steps(self, shown: Shown) -> None:
        steps = shown.steps
        attention = kept = None
        for scores in shown.scores.values():
            if len(scores.attention) and (steps is None or steps.t1_us == scores.t1_us):
                attention, kept = scores.attention, scores.kept if len(scores.kept) else None
                break
        if steps is None and attention is None:
            self.tensor.update()
        self.tensor.show_steps(steps, attention, kept, self.events.colours)
        if steps is not None:
            n, us = len(steps.pictures), steps.t1_us - steps.t0_us
            note = f"{n} steps of {us / 1000 / n:.4g} ms"
            if kept is not None:
                note += f"   ·   {int(kept.sum())} kept"
            self._cards["tensor"].set_note(note)


def _together(boxes: Mapping[str, Boxes]) -> Boxes | None:
    """The boxes of several ports as one packet, as old as the oldest of them; labels of several begin with the node."""
    if len(boxes) < 2:
        return next(iter(boxes.values()), None)
    labels: list[str] = []
    numbers = []
    for origin, part in boxes.items():
        numbers.append(part.label + np.int16(len(labels)))
        labels += [f"{origin.partition('.')[0]} {label}" for label in part.labels]
    oldest = min(boxes.values(), key=lambda part: part.t1_us)
    return Boxes(
        t0_us=oldest.t0_us,
        t1_us=oldest.t1_us,
        x=np.concatenate([part.x for part in boxes.values()]),
        y=np.concatenate([part.y for part in boxes.values()]),
        w=np.concatenate([part.w for part in boxes.values()]),
        h=np.concatenate([part.h for part in boxes.values()]),
        score=np.concatenate([part.score for part in boxes.values()]),
        label=np.concatenate(numbers),
        track=np.concatenate([part.track for part in boxes.values()]),
        labels=tuple(labels),
    )

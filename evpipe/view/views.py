"""All views, and where they stand: chosen by the kinds of packets that are wired, resizable by their borders."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QSplitter, QVBoxLayout, QWidget

from evpipe.operator import InputState
from evpipe.packets import Scores
from evpipe.view import theme, words
from evpipe.view.accumulation_tool import AccumulationTool
from evpipe.view.attention_view import AttentionView
from evpipe.view.board import Shown
from evpipe.view.card import Card
from evpipe.view.class_bars import ClassBars
from evpipe.view.events_view import EventsView
from evpipe.view.frame_view import FrameView
from evpipe.view.pair_picture import PairPicture
from evpipe.view.pair_view import PairView
from evpipe.view.palettes import Palette
from evpipe.view.rate_plot import RatePlot
from evpipe.view.surface import Accumulation, EventSurface

_SIDE_PX = 350
_ALL_PX = 690
_HEIGHTS = {"frame": 195, "frame_pair": 250, "tensor": 160, "rate": 160}
_BOXES_LAST_US = 500_000
_NOTE_LETTERS = 42  # what a card's header has room for beside its title


def kind_of(state: InputState) -> str:
    """The kind of packet that an input carries, as far as its port's name tells."""
    return state.origin.rpartition(".")[2].rstrip("0123456789").rstrip("_")


class Views(QWidget):
    """Two columns: large, events (or pairs, or frames) over pairs and binned steps; at its right, the others.

    Without frame and scores there is one column.
    """

    accumulation_asked = Signal(object)

    def __init__(self, surface: EventSurface, palette: Palette, scale: float | None) -> None:
        super().__init__()
        self.events = EventsView(surface, palette, scale)
        self.frame = FrameView()
        self.frame_pair = PairView()
        self.scores = ClassBars()
        self.tensor = AttentionView()
        self.rate = RatePlot()
        self._cards = {
            "events": Card("Events", self.events),
            "frame": Card("Frame", self.frame),
            "frame_pair": Card("Frame and its events", self.frame_pair),
            "scores": Card("Scores", self.scores),
            "tensor": Card("Binned steps and attention", self.tensor),
            "rate": Card("Event rate", self.rate),
        }
        self._tool = AccumulationTool()
        self._tool.changed.connect(self.accumulation_asked)
        self._cards["events"].add_tool(self._tool)
        self._kinds: frozenset[str] | None = None
        self._left, self._right = QSplitter(Qt.Orientation.Vertical), QSplitter(Qt.Orientation.Vertical)
        self._columns = QSplitter(Qt.Orientation.Horizontal)
        for splitter in (self._left, self._right, self._columns):
            splitter.setHandleWidth(theme.GAP)
            splitter.setChildrenCollapsible(False)
        self._columns.addWidget(self._left)
        self._columns.addWidget(self._right)
        self._columns.setStretchFactor(0, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._columns)

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
        self.scores.waiting = f"Waiting for {origins.get('scores', 'scores')}"
        self.tensor.waiting = f"Waiting for {origins.get('tensor', 'binned events')}"

    def show_kinds(self, kinds: Collection[str]) -> None:
        """Show the views of these kinds of packets; acts only when they change."""
        wanted = frozenset(kinds) & {"events", "frame", "frame_pair", "tensor", "scores", "boxes"}
        if "boxes" in wanted or not wanted:
            wanted |= {"events"}
        if wanted == self._kinds:
            return
        self._kinds = wanted
        main = next((kind for kind in ("events", "frame_pair", "frame") if kind in wanted), None)
        right: list[str] = [kind for kind in ("frame", "scores") if kind in wanted and kind != main]
        below: list[str] = [kind for kind in ("frame_pair", "tensor") if kind in wanted and kind != main]
        left: list[str] = below if main is None else [main, *below]
        if "events" in wanted:
            (right or left).append("rate")
        for name, card in self._cards.items():
            if name not in left + right:
                card.hide()
        for splitter, names in ((self._left, left), (self._right, right)):
            tall = next((name for name in (main, "scores", "frame") if name in names), None)
            heights = _HEIGHTS if right else _HEIGHTS | {"rate": 120}
            rest = _ALL_PX - sum(heights[name] for name in names if name != tall)
            for name in names:
                splitter.addWidget(self._cards[name])
                share = 2 if name == tall else int(name == "frame_pair")
                splitter.setStretchFactor(splitter.indexOf(self._cards[name]), share)
                self._cards[name].show()
            splitter.setVisible(bool(names))
            splitter.setSizes([rest if name == tall else heights[name] for name in names])
        self._columns.setSizes([1280 - _SIDE_PX, _SIDE_PX])

    def show_newest(self, shown: Shown, newest: Shown, silent_s: float, passed_ms: float) -> None:
        """Show `shown` (older than `newest` in a frozen view). Only what is visible is drawn.

        `silent_s`: for how long no events came, 0 when that is not worth saying. `passed_ms`: since the last call.
        """
        for kind, view in (("events", self.events), ("frame", self.frame), ("scores", self.scores)):
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
            self._show_pair(shown.pair)
        if shown.scores is not None and self.scores.isVisible():
            self.scores.show_scores(shown.scores, passed_ms)
            self._cards["scores"].set_note(_note(shown.scores))
        if self.tensor.isVisible():
            self._show_steps(shown)
        if self.rate.isVisible():
            self.rate.show_course(newest.course)

    def _show_events(self, shown: Shown, silent_s: float) -> None:
        boxes = shown.boxes
        if boxes is not None and (shown.t_us is None or shown.t_us - boxes.t1_us > _BOXES_LAST_US):
            boxes = None  # a detector that fell silent leaves nothing behind
        age_us = 0 if boxes is None or shown.t_us is None else max(0, shown.t_us - boxes.t1_us)
        seen = (self.events.boxes, self.events.boxes_age_us, self.events.silent_s)
        if boxes is not seen[0] or age_us != seen[1] or silent_s != seen[2]:
            self.events.boxes, self.events.boxes_age_us, self.events.silent_s = boxes, age_us, silent_s
            self.events.update()
        self.events.redraw()
        height, width = self.events.surface.shape
        if width:
            count, exact = self.events.surface.count(self.events.accumulation)
            events = f"{'' if exact else '≥ '}{words.quantity(count)} events"
            self._cards["events"].set_note(f"{width} × {height}   ·   {events}")

    def _show_pair(self, pair: PairPicture) -> None:
        self.frame_pair.show_pair(pair, self.events.colours)
        events = f"{words.quantity(pair.n_on)} ON, {words.quantity(pair.n_off)} OFF"
        self._cards["frame_pair"].set_note(f"{(pair.t1_us - pair.t0_us) / 1000:.4g} ms   ·   {events}")

    def _show_steps(self, shown: Shown) -> None:
        steps, scores = shown.steps, shown.scores
        attention = kept = None
        if scores is not None and len(scores.attention) and (steps is None or steps.t1_us == scores.t1_us):
            attention, kept = scores.attention, scores.kept if len(scores.kept) else None
        if steps is None and attention is None:
            self.tensor.update()
        self.tensor.show_steps(steps, attention, kept, self.events.colours)
        if steps is not None:
            n, us = len(steps.pictures), steps.t1_us - steps.t0_us
            note = f"{n} steps of {us / 1000 / n:.4g} ms"
            if kept is not None:
                note += f"   ·   {int(kept.sum())} kept"
            self._cards["tensor"].set_note(note)


def _note(scores: Scores) -> str:
    """How far an answer looks ahead, how late it comes, then its other figures, as many as the header has room for."""
    delays = {"look-ahead": scores.lookahead_us, "delay": scores.extras.get("delay_us", 0)}
    parts = [f"{name} {us / 1000:.3g} ms" for name, us in delays.items() if us]
    parts += [f"{name} {value:.3g}" for name, value in scores.extras.items() if name != "delay_us"]
    note = ""
    for part in parts:
        longer = f"{note}  ·  {part}" if note else part
        if len(longer) > _NOTE_LETTERS:
            break
        note = longer
    return note

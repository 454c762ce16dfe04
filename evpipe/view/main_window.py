"""The window: arranges the views of what is wired, takes the newest from the board at display rate, answers to keys."""

# ruff: noqa: N802 - Qt names the methods that are overridden here
from __future__ import annotations

import math
import time
from pathlib import Path

import msgspec
from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from evpipe.operator import Context, InputState
from evpipe.view import theme, words
from evpipe.view.accumulation_tool import stepped
from evpipe.view.bars import Figure, StatusStrip, TopBar
from evpipe.view.board import Board, Shown, kind_of
from evpipe.view.key_list import KEYS, KeyList
from evpipe.view.palettes import NAMES, PALETTES, Palette
from evpipe.view.screenshot import Screenshots
from evpipe.view.surface import Accumulation, EventSurface
from evpipe.view.toast import Toast
from evpipe.view.transport import Controls, speed_text
from evpipe.view.views import Views

_SILENT_S = 0.5
_FIGURES_EVERY_S = 0.25  # faster changing digits cannot be read
_CLOCKS = {"live": ("LIVE", theme.GREEN), "replay": ("REPLAY", theme.VIOLET), "fast": ("FAST", theme.ACCENT)}


class MainWindow(QWidget):
    """Everything that a person sees. All its methods belong to the GUI thread; `saved` may be emitted from any."""

    saved = Signal(str)
    closed = Signal()

    def __init__(
        self,
        board: Board,
        context: Context,
        *,
        accumulation: Accumulation,
        fps: int,
        palette: Palette,
        scale: float | None,
    ) -> None:
        super().__init__()
        self._board, self._context = board, context
        self._controls, self._playing = Controls(context), context.transport()
        self._jump_us = 100_000
        self._inputs: list[InputState] = context.inputs()
        self._shown = board.take()
        self._frozen_since: float | None = None
        self._frozen_age_ms = 0.0
        self._asked_stop = False
        self._ticks: list[float] = []
        self._last_tick = self._opened = time.monotonic()
        self._figures_at = 0.0
        self._screenshots = Screenshots(self.saved.emit)

        self.setObjectName("evpipe")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setWindowTitle(f"{context.app} – evpipe" if context.app else "evpipe")
        self.setStyleSheet(theme.style_sheet())
        self.setFont(theme.font(13))
        self.resize(1280, 800)
        self.setMinimumSize(860, 580)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

        self.views = Views(board.surface, palette, scale)
        self.views.set_accumulation(accumulation)
        self.views.accumulation_asked.connect(self.set_accumulation)
        self.top_bar, self.strip = TopBar(context.app), StatusStrip()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 6, 14, 6)
        layout.setSpacing(6)
        layout.addWidget(self.top_bar)
        layout.addWidget(self.views, 1)
        layout.addWidget(self.strip)
        self.toast, self.key_list = Toast(self), KeyList(self)
        self.saved.connect(self.toast.say)
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.tick)
        self._timer.start(max(1, round(1000 / fps)))
        self.tick()

    # What is shown

    def tick(self) -> None:
        """Take the newest and show it; called at display rate."""
        now = time.monotonic()
        passed_ms, self._last_tick = (now - self._last_tick) * 1000, now
        self._ticks = [tick for tick in self._ticks if now - tick < 1.0] + [now]
        newest = self._board.take()
        self._playing = self._controls.now
        if self._frozen_since is None:
            self._shown = newest
        if now - self._figures_at >= _FIGURES_EVERY_S:
            self._figures_at = now
            self._inputs = self._context.inputs()
            self.views.name_inputs(self._inputs)
            self._show_figures(newest, now)
        scored = [state.origin for state in self._inputs if kind_of(state) == "scores"]
        scored += [origin for origin in newest.scores if origin not in scored]
        self.views.show_kinds({kind_of(state) for state in self._inputs} | set(newest.heard_s), scored, newest.forms)
        self._show_state(newest, now)
        if not self.isMinimized():
            still = newest.ended or self._playing.paused
            silent_s = 0.0 if still else self._silent_s(newest, now)
            self.views.show_newest(self._shown, newest, silent_s, 0.0 if self._playing.paused else passed_ms)

    def _show_state(self, newest: Shown, now: float) -> None:
        subject, clock = "", ""
        if newest.ended:
            state, colour = "ENDED", theme.SOFT
        elif self._frozen_since is not None:
            state, colour = "FROZEN", theme.AMBER
        elif self._playing.paused:
            state, colour = "PAUSED", theme.AMBER
        elif newest.t_us is None:
            state, colour = "WAITING", theme.SOFT
            silent = [state.origin for state in self._inputs if not state.received]
            subject = f"for {', '.join(silent) or 'packets'}  ·  {now - self._opened:.0f} s"
        elif self._context.clock == "live" and self._silent_s(newest, now):
            state, colour = "NO DATA", theme.AMBER
        else:
            state, colour = _CLOCKS.get(self._context.clock, _CLOCKS["live"])
        if self._context.clock == "replay" and not newest.ended:
            turns = ["repeats"] if self._playing.looping else []
            subject = "  ·  ".join([*([speed_text(self._playing.rate)] if self._playing.rate != 1 else []), *turns])
        if self._playing.can_seek and newest.t_us is not None:
            clock = words.clock_s(self._playing.position_us)
        elif self._shown.passed_us is not None:
            clock = words.clock_s(self._shown.passed_us)
        self.top_bar.show_state(state, colour, subject, clock)

    def _show_figures(self, newest: Shown, now: float) -> None:
        age = max(self._age_ms(), self._silent_s(newest, now) * 1000) if newest.heard_s else math.nan
        if self._frozen_since is not None:
            age = self._frozen_age_ms + (now - self._frozen_since) * 1000
        lost = [(state.origin, state.dropped) for state in self._inputs if state.dropped]
        total = sum(n for _, n in lost)
        dropped = f"{words.quantity(total)}  ({', '.join(f'{origin} {n}' for origin, n in lost)})" if lost else "none"
        self.strip.show_figures(
            (
                Figure("Events now", words.rate(newest.rate) if newest.heard_s else "–"),
                Figure("Peak", words.rate(newest.peak) if newest.heard_s else "–"),
                Figure("Age of picture", words.age_ms(age), alarm=self._frozen_since is not None, share=0.8),
                Figure("Display", self._display_hz(), share=0.6),
                Figure("Dropped packets", dropped, alarm=any("events" in origin for origin, _ in lost), share=2.2),
            )
        )
        lines = [f"{s.origin}: {s.received} received, {s.dropped} dropped" for s in self._inputs]
        if newest.gaps or newest.lost_events:
            lines.append(f"announced as missing: {newest.gaps} packets, {newest.lost_events} events")
        self.strip.setToolTip("\n".join(lines))

    def _display_hz(self) -> str:
        span = self._ticks[-1] - self._ticks[0]
        return f"{(len(self._ticks) - 1) / span:.0f} Hz" if span > 0.2 else "–"

    def _silent_s(self, newest: Shown, now: float) -> float:
        """For how long no events have come, once that is worth saying; 0 otherwise."""
        heard = newest.heard_s.get("events")
        silent = 0.0 if heard is None else round(now - heard, 1)
        return silent if silent > _SILENT_S else 0.0

    def _age_ms(self) -> float:
        ages = {kind_of(state): state.age_ms for state in reversed(self._inputs)}
        return ages.get("events", next(iter(ages.values()), math.nan))

    # What keys do: playing

    def toggle_play(self) -> None:
        """Pause a recording or play on; a camera's view is frozen instead."""
        if self._context.clock == "live":
            self.toggle_freeze()
        else:
            self._told(self._controls.toggle())

    def step_on(self) -> None:
        """One step of a recording."""
        self._told(self._controls.step(True, self._picture_us))

    def step_back(self) -> None:
        """One step back."""
        self._told(self._controls.step(False, self._picture_us))

    def jump_on(self) -> None:
        """A tenth of a second on, with shift a second."""
        self._told(self._controls.jump(self._jump_us, self._picture_us))

    def jump_back(self) -> None:
        """A tenth of a second back, with shift a second."""
        self._told(self._controls.jump(-self._jump_us, self._picture_us))

    def go_to_start(self) -> None:
        """To the start of the recording."""
        self._told(self._controls.go_to(0, self._picture_us))

    def play_faster(self) -> None:
        """The next higher speed."""
        self._told(self._controls.change_speed(True))

    def play_slower(self) -> None:
        """The next lower speed."""
        self._told(self._controls.change_speed(False))

    def mark_in(self) -> None:
        """A range begins here."""
        self._told(self._controls.mark_in())

    def mark_out(self) -> None:
        """The range ends here, and repeats."""
        self._told(self._controls.mark_out())

    def toggle_loop(self) -> None:
        """Repeat, or play once."""
        self._told(self._controls.toggle_loop())

    def _told(self, text: str) -> None:
        if text:
            self.toast.say(text)

    @property
    def _picture_us(self) -> int:
        """Sensor time that fills a picture."""
        accumulation = self.views.events.accumulation
        return accumulation.us if accumulation.mode == "time" else 50_000

    # What keys do: looking

    def set_accumulation(self, accumulation: Accumulation) -> None:
        """Change what one picture of events holds."""
        self.views.set_accumulation(accumulation)
        self.setFocus()

    def accumulate_more(self) -> None:
        """One step more in a picture."""
        self.set_accumulation(stepped(self.views.events.accumulation, 1))

    def accumulate_less(self) -> None:
        """One step less in a picture."""
        self.set_accumulation(stepped(self.views.events.accumulation, -1))

    def toggle_mode(self) -> None:
        """Between a fixed time and a fixed number of events."""
        now = self.views.events.accumulation
        self.set_accumulation(msgspec.structs.replace(now, mode="count" if now.mode == "time" else "time"))
        self.toast.say("a fixed number of events" if now.mode == "time" else "a fixed time")

    def toggle_freeze(self) -> None:
        """Hold what is shown, or go on with the newest. Packets keep coming either way."""
        if self._frozen_since is not None:
            self.go_live()
            return
        self._frozen_since, self._frozen_age_ms = time.monotonic(), self._age_ms()
        self._show_surface(self._board.surface.copy(), frozen=True)

    def go_live(self) -> None:
        """Show the newest again."""
        self._frozen_since = None
        self._show_surface(self._board.surface, frozen=False)

    def _show_surface(self, surface: EventSurface, *, frozen: bool) -> None:
        self._figures_at = 0.0
        self.views.events.surface, self.views.events.frozen = surface, frozen
        self.views.events.update()
        self.tick()

    def next_palette(self) -> None:
        """The next colours of events."""
        self.views.events.colours = NAMES[(NAMES.index(self.views.events.colours) + 1) % len(NAMES)]
        self.toast.say(f"palette: {PALETTES[self.views.events.colours].title}")
        self.tick()

    def reset_view(self) -> None:
        """Fit the pictures."""
        self.views.events.reset_view()
        self.views.frame.reset_view()
        self.views.frame_pair.reset_view()

    def screenshot(self) -> None:
        """A PNG of the window in the working directory."""
        self._screenshots.numbered(self.grab().toImage(), Path.cwd(), self._context.app)

    def screenshot_to(self, path: Path) -> None:
        """A PNG of the window at this path."""
        self.tick()
        self._screenshots.to(self.grab().toImage(), path)

    def finish_screenshots(self) -> OSError | None:
        """Wait until all are written; the error of one that a parameter asked for."""
        self._screenshots.finish()
        return self._screenshots.failed

    def toggle_fullscreen(self) -> None:
        """Full screen and back."""
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)

    def toggle_keys(self) -> None:
        """The list of keys."""
        self.key_list.resize(self.size())
        self.key_list.raise_()
        self.key_list.setVisible(not self.key_list.isVisible())

    # Qt

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """One key, one method; Escape closes the list of keys and leaves full screen."""
        if event.key() == Qt.Key.Key_Escape:
            if self.key_list.isVisible():
                self.key_list.hide()
            elif self.isFullScreen():
                self.toggle_fullscreen()
            return
        self._jump_us = 1_000_000 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 100_000
        for keys, _, _, method in KEYS:
            if event.key() in keys:
                getattr(self, method)()
                return
        super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The list of keys covers all; the toast keeps its place."""
        self.key_list.resize(self.size())
        self.toast.place()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Closing the window ends the run in an orderly way."""
        if not self._asked_stop:
            self._asked_stop = True
            self._context.stop()
            self.closed.emit()
        event.accept()

    def take_away(self) -> None:
        """Close without asking anybody to stop: the run is over."""
        self._asked_stop = True
        self._timer.stop()
        self.close()

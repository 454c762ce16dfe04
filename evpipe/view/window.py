"""The live window as an operator: packets are reduced to pictures where they arrive, and painted at display rate.

It can stall or close without holding the graph up: it keeps only the newest of each kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from evpipe.errors import NodeError
from evpipe.operator import Operator, Param
from evpipe.packets import Boxes, Events, Frame, FramePair, Mark, Packet, Scores, Tensor
from evpipe.view.board import Board, kind_of
from evpipe.view.display import LIBRARIES, display_missing
from evpipe.view.palettes import Palette
from evpipe.view.surface import Accumulation

if TYPE_CHECKING:
    from evpipe.view.loop import Loop


class Window(Operator):
    """Shows events, frames, pairs, class scores, attention and boxes as they come; any of these inputs may be missing.

    Where several nodes give scores or boxes, wire these as `any: [har.scores, fusion.scores]`: each node's scores get a
    panel with its name, and each node's boxes are drawn.

    `accumulate_us`: sensor time in one picture of events. `fps`: pictures per second of host time. `palette`: colours
    of events (key C changes them). `scale`: screen pixels per sensor pixel at the start; None fits the window.
    `screenshot`: path of a PNG of the window, written `screenshot_us` of sensor time after the first packet (0: at the
    end), replacing an older file; the run goes on. Raises NodeError when no window can be shown here or the
    screenshot cannot be written.
    """

    main_thread = True
    ordered = False
    sink = "window"

    def __init__(
        self,
        accumulate_us: Annotated[int, Param(unit="us", min=1_000, max=500_000)] = 33_000,
        fps: Annotated[int, Param(min=1, max=240)] = 30,
        palette: Palette = "dark",
        scale: Annotated[float | None, Param(min=0.1, max=64)] = None,
        screenshot: str = "",
        screenshot_us: Annotated[int, Param(unit="us", min=0)] = 0,
        fullscreen: bool = False,
    ) -> None:
        self._accumulation = Accumulation(us=accumulate_us)
        self._fps = fps
        self._palette: Palette = palette
        self._scale = scale
        self._screenshot = screenshot
        self._screenshot_us = screenshot_us
        self._fullscreen = fullscreen
        self._board = Board()
        self._loop: Loop | None = None

    def open(self) -> None:
        """Show the window, which says what it waits for."""
        reason = display_missing()
        if reason is not None:
            raise NodeError(f"no window can be shown: {reason}")
        try:
            import PySide6.QtWidgets  # noqa: F401 - to tell a missing library from a fault of ours
        except ImportError as error:
            raise NodeError(f"no window can be shown: Qt does not load ({error}); {LIBRARIES}") from None
        from evpipe.view.loop import Loop

        self._loop = Loop(
            self._board,
            self.context,
            accumulation=self._accumulation,
            fps=self._fps,
            palette=self._palette,
            scale=self._scale,
            screenshot=self._screenshot,
            screenshot_us=self._screenshot_us,
            fullscreen=self._fullscreen,
        )

    def main_loop(self) -> None:
        """Paint and listen to keys until `leave_main_loop`. Raises the first error of a view."""
        assert self._loop is not None
        self._loop.run()

    def leave_main_loop(self) -> None:
        """Make `main_loop` return. Safe from any thread, also before it began."""
        if self._loop is not None:
            self._loop.leave()

    def close(self) -> None:
        """Take the window away and finish files. Raises NodeError when the asked screenshot could not be written."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.close()

    def on_events(self, events: Events) -> None:
        """Into the picture of events."""
        self._board.events(events)

    def on_frame(self, frame: Frame) -> None:
        """The newest camera picture."""
        self._board.frame(frame)

    def on_frame_pair(self, pair: FramePair) -> None:
        """The newest picture with the events of its exposure."""
        self._board.frame_pair(pair)

    def on_tensor(self, tensor: Tensor) -> None:
        """The newest binned window."""
        self._board.tensor(tensor)

    def on_scores(self, scores: Scores) -> None:
        """The newest answer of the only classifier."""
        self._board.scores(scores, self._only("scores"))

    def on_boxes(self, boxes: Boxes) -> None:
        """The newest detections of the only detector."""
        self._board.boxes(boxes, self._only("boxes"))

    def on_any(self, packet: Packet, origin: str) -> None:
        """A packet of any kind that is shown. Raises NodeError for others."""
        match packet:
            case Scores():
                self._board.scores(packet, origin)
            case Boxes():
                self._board.boxes(packet, origin)
            case Events():
                self.on_events(packet)
            case Frame():
                self.on_frame(packet)
            case FramePair():
                self.on_frame_pair(packet)
            case Tensor():
                self.on_tensor(packet)
            case _:
                raise NodeError(f"the window shows no {type(packet).__name__}; take {origin} out of its inputs")

    def on_gap(self, gap: Mark) -> None:
        """Lost packets are counted in the strip below."""
        self._board.gap(gap)

    def on_end(self) -> None:
        """The state becomes ENDED."""
        self._board.end()

    def reset(self) -> None:
        """A new epoch: the views clear."""
        self._board.reset()

    def _only(self, kind: str) -> str:
        """The port behind a named input: the first that is wired of this kind."""
        return next((state.origin for state in self.context.inputs() if kind_of(state) == kind), kind)

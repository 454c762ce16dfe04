"""Operators of a user, beside a graph file: a camera, two stages and a window."""

from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple

from evpipe.operator import Micros, Operator, Param, Source
from evpipe.packets import Boxes, Events, Frame, Scores, Tensor


class Camera(Source):
    """Makes events and frames."""

    def __init__(self, camera: str = "", seed: int = 0, from_us: int = 0) -> None: ...

    def stream(self) -> Iterator[Events | Frame]: ...


class Bins(Operator):
    """Makes tensors of events."""

    def __init__(
        self,
        window_us: Micros = 480_000,
        hop_us: Micros | None = None,
        frames: Annotated[int, Param(min=1, max=64)] = 16,
        size: tuple[int, int] = (32, 32),
        memory: Annotated[int, Param(unit="B")] = 0,
        seed: int = 0,
    ) -> None: ...

    @staticmethod
    def check_parameters(window_us: int, frames: int, **_rest: object) -> list[str]:
        whole = window_us % frames == 0
        return [] if whole else [f"window / frames must be whole, found {window_us} us / {frames}"]

    def on_events(self, events: Events) -> Tensor | None: ...


class Classify(Operator):
    """Names what happens."""

    heavy = True

    def __init__(self, model: str, device: Literal["cpu", "cuda"] = "cpu", share: float = 0.5) -> None: ...

    def on_tensor(self, tensor: Tensor) -> Scores | None: ...


class Fuse(Operator):
    """Hears two kinds, and gladly its own kind."""

    optional_inputs = ("scores",)

    def on_events(self, events: Events) -> Boxes | None: ...

    def on_frame(self, frame: Frame) -> None: ...

    def on_scores(self, scores: Scores) -> None: ...


class Halves(NamedTuple):
    left: Events
    right: Events


def split(events: Events, *, column: int) -> Halves: ...


def polarity(events: Events, *, keep: Literal["on", "off"] = "on") -> Events: ...


class Window(Operator):
    """Shows things."""

    sink = "window"
    main_thread = True

    def on_events(self, events: Events) -> None: ...

    def on_frame(self, frame: Frame) -> None: ...

    def on_tensor(self, tensor: Tensor) -> None: ...

    def on_scores(self, scores: Scores) -> None: ...


class Keep(Operator):
    """Takes everything."""

    def on_any(self, packet: object, origin: str) -> None: ...


class Silent(Operator):
    """No operator: it hears nothing."""


def untyped(events, keep=1): ...


NUMBER = 3

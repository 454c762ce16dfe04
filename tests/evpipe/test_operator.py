"""What a signature says: ports, parameters, traits; and what makes it no operator."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import numpy as np
import pytest

from evpipe.operator import Alone, Micros, Operator, Param, Result, SignatureError, Source, spec_of
from evpipe.packets import Boxes, Events, Frame, Mark, Packet, Scores, Tensor


def keep(events: Events, *, share: float = 0.5, kind: Literal["on", "off"]) -> Events:
    """Keep some.

    More words.
    """
    return events[: int(len(events) * share)]


class Sides(NamedTuple):
    left: Events
    right: Events


def halves(events: Events) -> Sides: ...


def either(packet: Events | Frame) -> Scores | Boxes | None: ...


class Both(Operator):
    """Hears two."""

    heavy = True

    def __init__(self, window_us: Micros = 5, name: Annotated[str, "no Param"] = "x") -> None:
        self.window_us = window_us

    def on_events(self, events: Events) -> Iterator[Tensor | Scores]: ...

    def on_frame(self, frame: Frame) -> None: ...

    def on_gap(self, gap: Mark) -> None: ...

    def on_end(self) -> Boxes | None: ...


class Heir(Both):
    def on_scores(self, scores: Scores) -> None: ...


class Camera(Source):
    def stream(self) -> Iterator[Events | Frame | Mark]: ...


class Everything(Operator):
    def on_any(self, packet: Packet, origin: str) -> None: ...


def events(n: int = 4) -> Events:
    zeros = np.zeros(n, np.uint16)
    t = np.arange(n, dtype=np.int64)
    return Events(t0_us=0, t1_us=n, t=t, x=zeros, y=zeros, p=zeros.astype(np.uint8), width=2, height=2)


def test_a_function() -> None:
    """First parameter: input; the others: parameters; return: output, named by the packet."""
    spec = spec_of(keep)
    assert spec.inputs == {"events": (Events,)}
    assert spec.outputs == {"events": Events}
    assert spec.doc == "Keep some.\n\nMore words."
    assert (spec.source, spec.takes_any, spec.trait("heavy", False)) == (False, False, False)
    assert spec.params["share"].default == 0.5
    assert spec.params["kind"].required
    assert spec.params["kind"].type == Literal["on", "off"]


def test_a_function_is_made_an_operator() -> None:
    """Its handler is called with the parameters given."""
    made = spec_of(keep).make({"share": 0.25, "kind": "on"})
    handler: Any = made.on_events  # type: ignore[attr-defined]
    assert len(handler(events(8))) == 2
    made.open()
    made.reset()
    made.close()
    assert made.on_end() is None


def test_named_and_several_outputs() -> None:
    """Fields of a NamedTuple name ports; a union gives a port for each kind."""
    assert spec_of(halves).outputs == {"left": Events, "right": Events}
    assert spec_of(either).outputs == {"scores": Scores, "boxes": Boxes}
    assert spec_of(either).inputs == {"events": (Events, Frame)}


def test_a_class() -> None:
    """A handler for each input; what handlers and on_end return are the outputs; on_gap is no input."""
    spec = spec_of(Both)
    assert spec.inputs == {"events": (Events,), "frame": (Frame,)}
    assert spec.outputs == {"boxes": Boxes, "tensor": Tensor, "scores": Scores}
    assert spec.params["window_us"].meta == Param(unit="us", min=1)
    assert spec.params["window_us"].type is int
    assert spec.params["name"].meta == Param()
    assert spec.trait("heavy") is True
    assert spec.make({"window_us": 7}).window_us == 7  # type: ignore[attr-defined]


def test_inputs_of_a_base_class_come_first() -> None:
    """An heir adds inputs and keeps those it has."""
    assert list(spec_of(Heir).inputs) == ["events", "frame", "scores"]


def test_a_source() -> None:
    """Its ports are what `stream` yields, a Mark among them."""
    spec = spec_of(Camera)
    assert (spec.source, spec.inputs) == (True, {})
    assert list(spec.outputs)[:2] == ["events", "frame"]
    assert spec.params == {}


def test_on_any_takes_every_kind() -> None:
    """A recorder's handler names no port."""
    spec = spec_of(Everything)
    assert (spec.takes_any, spec.inputs, spec.outputs) == (True, {}, {})


def untyped(events, share: float = 1): ...


def no_packet(share: float) -> Events: ...


def nothing() -> Events: ...


def bare(events: Events, share=1) -> Events: ...


def many(events: Events, *shares: float) -> Events: ...


def others(events: Events, **more: float) -> Events: ...


class Odd(NamedTuple):
    left: Events
    count: int


def odd(events: Events) -> Odd: ...


class Deaf(Operator):
    """Neither handler nor stream."""


class Handler(Operator):
    def on_events(self, events: int) -> None: ...


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (untyped, "the first parameter must be annotated with a packet type, such as Events"),
        (no_packet, "the first parameter must be annotated with a packet type, such as Events"),
        (nothing, "the first parameter must be annotated with a packet type, such as Events"),
        (bare, "parameter 'share' needs a type annotation"),
        (many, r"'\*shares' cannot be a parameter of a graph file"),
        (others, r"'\*more' cannot be a parameter of a graph file"),
        (odd, "output 'count' of Odd is not annotated with a packet type"),
        (Deaf, r"has neither an on_<port> handler nor stream\(\)"),
        (Handler, "on_events: its first argument must be annotated with a packet type"),
        (dict, "is neither a function nor a class derived from evpipe.Operator"),
    ],
)
def test_what_is_no_operator(target: Any, text: str) -> None:
    """The message names the operator and the line of its signature."""
    with pytest.raises(SignatureError, match=text):
        spec_of(target, "demo.Name" if target is dict else "")


def test_a_name_of_choice() -> None:
    """The graph file's own words for an operator are used in messages."""
    assert spec_of(keep, "./x.py:keep").name == "./x.py:keep"
    assert spec_of(Camera).name.endswith("Camera")


def test_by_hand_nobody_listens() -> None:
    """An operator outside a graph has a context that does nothing."""
    context = Both().context
    assert isinstance(context, Alone)
    context.say("hello")
    context.stop()
    assert context.inputs() == []


def test_a_default_of_none_is_not_required() -> None:
    """Required is what has no default at all."""

    def made(events: Events, limit: int | None = None) -> Result: ...

    assert spec_of(made).params["limit"].default is None
    assert not spec_of(made).params["limit"].required
    assert spec_of(keep).params["kind"].default is msgspec.NODEFAULT

"""What a node is: ports and parameters read from the signature of a function or class.

A function's first, packet-annotated parameter is its input, its keyword parameters are its parameters, its return
annotation names its output ports. A class has a handler `on_<port>` per input; a source has `stream()`.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, Protocol

import msgspec

from evpipe.packets import Mark, Packet, port_name


class Param(msgspec.Struct, frozen=True):
    """What a parameter's annotation may add: unit (`us`, `B`, `ev/s`...), range, change while running, help."""

    unit: str | None = None
    min: float | None = None
    max: float | None = None
    live: bool = False
    help: str = ""


Micros = Annotated[int, Param(unit="us", min=1)]


class InputState(msgspec.Struct, frozen=True):
    """How one input of a node stands now: packets received and dropped, and the age in ms of the newest one."""

    origin: str
    received: int
    dropped: int
    age_ms: float


class Transport(msgspec.Struct, frozen=True):
    """How a run plays: held or not, its speed, and how far its sources are, in us from where they begin."""

    paused: bool = False
    rate: float = 1.0
    looping: bool = False
    position_us: int = 0
    can_seek: bool = False


class Context(Protocol):
    """What the runtime offers a running operator."""

    node: str
    app: str
    clock: str

    @property
    def about(self) -> Mapping[str, str]:
        """What a recording may keep of the run: `app`, `version`, and its `graph` as YAML."""

    def say(self, text: str) -> None:
        """One line for the person who started the run."""

    def stop(self) -> None:
        """Ask for an orderly end of the run; returns at once. Safe from any thread."""

    def inputs(self) -> list[InputState]:
        """The state of each input edge. Safe from any thread."""

    def ask(self, verb: str, **arguments: Any) -> None:
        """Ask for a verb (`pause`, `resume`, `step`, `seek`, `rate`, `loop`, `mark`, `set`); what is refused is said.

        Returns at once. Safe from any thread.
        """

    def transport(self) -> Transport:
        """How the run plays now. Safe from any thread."""


class Alone:
    """The context of an operator used by hand, outside a graph: nobody listens."""

    node = app = ""
    clock = "fast"
    about: Mapping[str, str] = {}

    def say(self, text: str) -> None:
        """Nobody listens."""

    def stop(self) -> None:
        """Nothing to stop."""

    def inputs(self) -> list[InputState]:
        """No edges."""
        return []

    def ask(self, verb: str, **arguments: Any) -> None:
        """Nobody to ask."""

    def transport(self) -> Transport:
        """Nothing plays."""
        return Transport()


Result = Packet | Iterable[Packet] | tuple[Packet | None, ...] | None


class Operator:
    """A node with state. Parameters are those of `__init__`, inputs its `on_<port>` handlers.

    A handler returns or yields packets, or None. Traits: `heavy` (gets a worker of its own), `main_thread` (its
    `main_loop` owns the process's main thread while packets arrive on another), `ordered` (several inputs are fed in
    order of time), `warmup_us` (history needed before output is exact), `sink`, `optional_inputs` (names of inputs that
    need not be wired). A static method `check_parameters(**parameters) -> list[str]` says what is wrong with parameters
    taken together, so that `evpipe check` can show it without making the operator.
    """

    heavy = False
    main_thread = False
    ordered = True
    warmup_us = 0
    sink: Literal["", "window", "recorder"] = ""
    context: Context = Alone()

    def open(self) -> None:
        """Load what is needed. Runs once, in the worker, before the first packet."""

    def close(self) -> None:
        """Give everything back. Runs once, also after a failure."""

    def reset(self) -> None:
        """Forget all state: a new epoch begins."""

    def change(self, name: str, value: Any) -> None:
        """A parameter marked `live` gets a new, checked value, between two packets: `set_<name>`, or the attribute."""
        setter = getattr(self, f"set_{name}", None)
        if setter is None:
            setattr(self, name, value)
        else:
            setter(value)

    def on_gap(self, gap: Mark) -> None:
        """Packets of this span are missing."""

    def on_end(self) -> Result:
        """No more input. May return last packets."""
        return None

    def main_loop(self) -> None:
        """Only with `main_thread`: runs in the main thread until `leave_main_loop`."""

    def leave_main_loop(self) -> None:
        """Make `main_loop` return soon. Called from another thread."""


class Source(Operator):
    """A node without inputs. `stream` yields packets in order of `t1_us` over all its ports, 2-10 ms of time each.

    `live`: the hardware sets the pace and the runtime never waits for it; any other source is paced by the graph's
    clock. `can_seek`: a recording, whose time is counted from its first event; its stream begins at `from_us`.
    `zero_us`: sensor time of position 0, where the source knows it.
    """

    live = False
    can_seek = False
    from_us = 0
    zero_us: int | None = None

    def stream(self) -> Iterator[Any]:
        """The packets, until the source ends or is closed."""
        raise NotImplementedError

    def seek(self, t_us: int) -> None:
        """The next `stream` begins at this time after the first event. Only with `can_seek`."""
        raise NotImplementedError

    def ports(self) -> list[str] | None:
        """Names of the ports that this source really has, known after `open`; None: all that `stream` declares."""
        return None


class ParamSpec(msgspec.Struct, frozen=True):
    """One parameter: name, plain type, default (`msgspec.NODEFAULT` when required) and what its annotation adds."""

    name: str
    type: Any
    default: Any
    meta: Param

    @property
    def required(self) -> bool:
        """Whether the graph must give it."""
        return self.default is msgspec.NODEFAULT


class Spec(msgspec.Struct, frozen=True):
    """What a graph needs to know of an operator, without making one."""

    name: str
    doc: str
    target: Callable[..., Any]
    inputs: dict[str, tuple[type[Packet], ...]]
    outputs: dict[str, type[Packet]]
    params: dict[str, ParamSpec]
    source: bool
    takes_any: bool

    def trait(self, name: str, default: Any = None) -> Any:
        """A class attribute such as `heavy`; functions have none."""
        return getattr(self.target, name, default)

    def make(self, params: Mapping[str, Any]) -> Operator:
        """An operator with these (already checked) parameters."""
        if isinstance(self.target, type):
            made = self.target(**params)
            assert isinstance(made, Operator)
            return made
        return _FunctionOperator(self.target, next(iter(self.inputs)), dict(params))


class _FunctionOperator(Operator):
    """A function dressed as an operator."""

    def __init__(self, function: Callable[..., Any], port: str, params: dict[str, Any]) -> None:
        self._function = function
        self.params = params
        setattr(self, f"on_{port}", lambda packet: function(packet, **self.params))

    def change(self, name: str, value: Any) -> None:
        """The next call gets it."""
        self.params = {**self.params, name: value}


class SignatureError(TypeError):
    """A function or class cannot be an operator; the text says which line of its signature is the reason."""


def spec_of(target: Any, name: str = "") -> Spec:
    """Read the ports and parameters of an operator.

    Raises SignatureError when the signature does not say what flows.
    """
    name = name or f"{target.__module__}.{target.__qualname__}"
    doc = inspect.getdoc(target) or ""
    if isinstance(target, type) and issubclass(target, Operator):
        return _class_spec(target, name, doc)
    if inspect.isfunction(target):
        return _function_spec(target, name, doc)
    raise SignatureError(f"{name} is neither a function nor a class derived from evpipe.Operator")


def _function_spec(function: Callable[..., Any], name: str, doc: str) -> Spec:
    hints = typing.get_type_hints(function, include_extras=True)
    params = list(inspect.signature(function).parameters.values())
    kinds = _packet_kinds(hints.get(params[0].name)) if params else ()
    if not kinds:
        raise SignatureError(f"{name}: the first parameter must be annotated with a packet type, such as Events")
    port = port_name(kinds[0])
    outputs = _output_ports(hints.get("return"), name)
    return Spec(
        name=name,
        doc=doc,
        target=function,
        inputs={port: kinds},
        outputs=outputs,
        params=_params(params[1:], hints, name),
        source=False,
        takes_any=False,
    )


def _class_spec(cls: type[Operator], name: str, doc: str) -> Spec:
    init = cls.__init__
    hints = typing.get_type_hints(init, include_extras=True)
    params = [] if init is object.__init__ else list(inspect.signature(init).parameters.values())[1:]
    inputs: dict[str, tuple[type[Packet], ...]] = {}
    outputs: dict[str, type[Packet]] = {}
    takes_any = False
    for attribute in _in_order(cls):
        port = attribute.removeprefix("on_")
        handler = getattr(cls, attribute)
        handler_hints = typing.get_type_hints(handler, include_extras=True)
        if port not in ("gap", "end"):
            arguments = list(inspect.signature(handler).parameters)[1:]
            kinds = _packet_kinds(handler_hints.get(arguments[0])) if arguments else ()
            if port == "any":
                takes_any = True
            elif not kinds:
                raise SignatureError(f"{name}.{attribute}: its first argument must be annotated with a packet type")
            else:
                inputs[port] = kinds
        if handler is not getattr(Operator, attribute, None):
            outputs |= _output_ports(handler_hints.get("return"), name)
    source = issubclass(cls, Source)
    if issubclass(cls, Source):
        outputs |= _output_ports(typing.get_type_hints(cls.stream, include_extras=True).get("return"), name)
    elif not inputs and not takes_any:
        raise SignatureError(f"{name} has neither an on_<port> handler nor stream()")
    return Spec(
        name=name,
        doc=doc,
        target=cls,
        inputs=inputs,
        outputs=outputs,
        params=_params(params, hints, name),
        source=source,
        takes_any=takes_any,
    )


def _in_order(cls: type) -> list[str]:
    """Handler names in order of definition, base classes first."""
    names: dict[str, None] = {}
    for klass in reversed(cls.__mro__):
        for attribute, value in vars(klass).items():
            if attribute.startswith("on_") and callable(value):
                names[attribute] = None
    return list(names)


def _params(parameters: list[inspect.Parameter], hints: dict[str, Any], name: str) -> dict[str, ParamSpec]:
    specs = {}
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            raise SignatureError(f"{name}: '*{parameter.name}' cannot be a parameter of a graph file")
        if parameter.name not in hints:
            raise SignatureError(f"{name}: parameter '{parameter.name}' needs a type annotation")
        hint, meta = hints[parameter.name], Param()
        if typing.get_origin(hint) is Annotated:
            meta = next((m for m in typing.get_args(hint)[1:] if isinstance(m, Param)), meta)
            hint = typing.get_args(hint)[0]
        default = msgspec.NODEFAULT if parameter.default is parameter.empty else parameter.default
        specs[parameter.name] = ParamSpec(parameter.name, hint, default, meta)
    return specs


def _packet_kinds(hint: Any) -> tuple[type[Packet], ...]:
    """The packet types of an annotation such as `Events`, `Events | Frame`."""
    if isinstance(hint, type) and issubclass(hint, Packet):
        return (hint,)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(kind for part in typing.get_args(hint) for kind in _packet_kinds(part))
    return ()


def _output_ports(hint: Any, name: str) -> dict[str, type[Packet]]:
    """The ports of a return annotation: packets, `X | None`, `Iterator[X | Y]`, or a NamedTuple of ports."""
    if hint is None or hint is type(None) or hint is Any or isinstance(hint, str):
        return {}
    if isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
        fields = typing.get_type_hints(hint, include_extras=True)
        ports = {field: _packet_kinds(fields[field]) for field in hint._fields}
        missing = [field for field, kinds in ports.items() if not kinds]
        if missing:
            raise SignatureError(
                f"{name}: output '{missing[0]}' of {hint.__name__} is not annotated with a packet type"
            )
        return {field: kinds[0] for field, kinds in ports.items()}
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        parts = typing.get_args(hint)
    elif isinstance(origin, type) and issubclass(origin, Iterable):
        parts = tuple(part for part in typing.get_args(hint) if part is not Ellipsis)
    else:
        return {port_name(kind): kind for kind in _packet_kinds(hint)}
    ports_of: dict[str, type[Packet]] = {}
    for part in parts:
        ports_of |= _output_ports(part, name)
    return ports_of

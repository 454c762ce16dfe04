"""`evpipe ctl`: pause, step, seek, speed and parameters of a running graph; alone, the runs there are."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from evpipe.cli.time_span import span_us
from evpipe.errors import UsageError

if TYPE_CHECKING:
    from evpipe.run.reach import Reach

EXAMPLE = "evpipe ctl pause"

FORMS = {
    "pause": "",
    "resume": "",
    "step": "[N | TIME]",
    "seek": "TIME | +TIME | back TIME | @MICROSECONDS",
    "rate": "NUMBER",
    "loop": "on | off",
    "mark": "[START [END]]",
    "set": "NODE.PARAM=VALUE",
    "state": "",
    "stop": "",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `evpipe ctl`."""
    verbs = ", ".join(f"{verb} {form}".rstrip() for verb, form in FORMS.items())
    what = f"the run's name may be left out while only one runs; verbs: {verbs}"
    parser.add_argument("words", metavar="[RUN] VERB", nargs="*", help=what)


def run(args: argparse.Namespace) -> int:
    """Do it and say how the run stands; without words, list the runs."""
    from evpipe.run.reach import Reach

    if not args.words:
        return _list(args.json)
    name, verb, rest = _parted(args.words)
    with Reach(name) as reach:
        state = reach.ask(verb, **_arguments(verb, rest, reach)) | {"run": reach.run.name}
    if args.json:
        sys.stdout.write(json.dumps(state) + "\n")
    elif not args.quiet:
        sys.stdout.write(f"{reach.run.name}: {'stops' if verb == 'stop' else _standing(state)}\n")
    return 0


def _list(as_json: bool) -> int:
    from evpipe.run.reach import runs

    there = runs()
    if as_json:
        sys.stdout.write(json.dumps([run._asdict() for run in there]) + "\n")
        return 0
    width = max((len(run.name) for run in there), default=0)
    for run in there:
        sys.stdout.write(f"{run.name:{width}}  process {run.pid}\n")
    if not there:
        sys.stdout.write("no run is under way here\n")
    return 0


def _parted(words: Sequence[str]) -> tuple[str | None, str, list[str]]:
    """The run, where one is named, the verb, and what follows it. A run named alone is asked for its state."""
    first, *rest = words
    if first in FORMS and not (rest and rest[0] in FORMS):
        return None, first, rest
    if not rest:
        return first, "state", []
    verb, *more = rest
    if verb not in FORMS:
        from evpipe.graph.faults import nearest

        near = nearest(verb, FORMS)
        hint = f"did you mean '{near}'?" if near else f"there are: {', '.join(FORMS)}"
        raise UsageError(f"ctl: '{verb}' is no verb; {hint}")
    return first, verb, more


def _arguments(verb: str, rest: Sequence[str], reach: Reach) -> dict[str, Any]:
    """What follows a verb, as the run takes it. Raises UsageError with the form of the verb."""
    if verb == "seek" and len(rest) == 1 and rest[0].startswith("@") and rest[0][1:].isdecimal():
        return {"t_us": int(rest[0][1:]) - reach.ask("state")["first_us"]}
    read = _READERS.get(verb)
    if read is None and not rest:
        return {}
    if read is not None:
        try:
            return read(list(rest))
        except (ValueError, IndexError):
            pass  # told below, for every verb alike
    found = " ".join([verb, *rest])
    raise UsageError(f"ctl {found}: expected `evpipe ctl [RUN] {verb} {FORMS[verb]}`".rstrip("` ") + "`")


def _step(words: list[str]) -> dict[str, Any]:
    if not words:
        return {"packets": 1}
    [word] = words
    return {"packets": int(word)} if word.isdecimal() else {"time_us": span_us(word, "step")}


def _seek(words: list[str]) -> dict[str, Any]:
    if words[0] == "back":
        [_, word] = words
        return {"by_us": -_us(word, "seek")}
    [word] = words
    return {"by_us": _us(word[1:], "seek")} if word.startswith("+") else {"t_us": _us(word, "seek")}


def _rate(words: list[str]) -> dict[str, Any]:
    [word] = words
    return {"rate": float(word.removesuffix("x"))}


def _loop(words: list[str]) -> dict[str, Any]:
    [word] = words
    return {"on": {"on": True, "off": False}[word]}


def _mark(words: list[str]) -> dict[str, Any]:
    spans = [_us(word, "mark") for word in words]
    if len(spans) > 2:
        raise ValueError
    return dict(zip(("start_us", "stop_us"), spans, strict=False))


def _set(words: list[str]) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    [word] = words
    name, equals, text = word.partition("=")
    node, dot, parameter = name.partition(".")
    if not (equals and dot and node and parameter):
        raise ValueError
    try:
        value = YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        raise UsageError(f"ctl set {word}: {text!r} is no value in YAML") from None
    return {"node": node, "parameter": parameter, "value": value}


_READERS: dict[str, Callable[[list[str]], dict[str, Any]]] = {
    "step": _step, "seek": _seek, "rate": _rate, "loop": _loop, "mark": _mark, "set": _set
}  # fmt: skip


def _us(word: str, verb: str) -> int:
    span = span_us(word, verb)
    assert span is not None
    return span


def _standing(state: dict[str, Any]) -> str:
    """How a run stands, in one line."""
    doing = "paused" if state["paused"] else "running"
    loop = ", loop" if state["loop"] else ""
    return f"{doing} at {state['position_us'] / 1e6:.3f} s, rate {state['rate']:g}{loop}"

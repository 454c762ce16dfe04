"""A packet in words and as plain values: what `evpipe tap` prints, a line each."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from evpipe.link.queue import Gap
from evpipe.packets import Boxes, Events, Frame, FramePair, Imu, Packet, Scores, Tensor, Triggers
from evpipe.view.words import quantity, rate, time_span


def plain(packet: Packet, origin: str) -> dict[str, Any]:
    """A packet as JSON gives it: where it came from, its header, and what its kind is about; never its arrays.

    Scores and boxes are complete, as in a recorder's `.jsonl`.
    """
    node, _, port = origin.partition(".")
    head = {"node": node, "port": port, "kind": type(packet).__name__, "seq": packet.seq, "epoch": packet.epoch}
    return head | {"t0_us": packet.t0_us, "t1_us": packet.t1_us} | _content(packet, origin)


def text(packet: Packet) -> str:
    """A packet in one line: number, span of sensor time, and its figures."""
    return f"#{packet.seq}  {time_span(packet.t0_us, packet.t1_us)}  {_words(packet)}"


def gap_text(gap: Gap) -> str:
    """What never came, and why."""
    events = f", {quantity(gap.events)} events" if gap.events else ""
    return f"gap: {gap.count} packets{events} of {time_span(gap.t0_us, gap.t1_us)} went by ({gap.reason})"


def gap_plain(gap: Gap, origin: str) -> dict[str, Any]:
    """A gap as JSON gives it."""
    node, _, port = origin.partition(".")
    head = {"node": node, "port": port, "kind": "Mark", "mark": "gap", "reason": gap.reason}
    return head | {"count": gap.count, "events": gap.events, "t0_us": gap.t0_us, "t1_us": gap.t1_us}


def _content(packet: Packet, origin: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    match packet:
        case Events():
            found = {"events": len(packet), "on": int(np.count_nonzero(packet.p)), "rate_ev_s": _rate(packet)}
            found |= {"width": packet.width, "height": packet.height}
        case Frame():
            found = {"shape": list(packet.image.shape), "mean": _mean(packet.image)}
        case FramePair():
            found = {"events": len(packet.t), "rate_ev_s": _rate(packet), "shape": list(packet.image.shape)}
            found |= {"lag_us": packet.lag_us, "has_image": packet.has_image, "has_events": packet.has_events}
        case Tensor():
            found = {"axes": packet.axes, **_array(packet.values)}
        case Triggers() | Imu():
            found = {"samples": len(packet.t)}
        case Scores() | Boxes():
            from evpipe.recorder.results import line

            found = json.loads(line(packet, origin))
    return found


def _words(packet: Packet) -> str:
    match packet:
        case Events():
            on = f", {np.count_nonzero(packet.p) / len(packet):.0%} brighter" if len(packet) else ""
            said = f"{quantity(len(packet))} events, {rate(_rate(packet))}{on}"
        case Frame():
            said = f"picture {_shape(packet.image)}, mean {_mean(packet.image):.0f}"
        case FramePair():
            picture = f"picture {_shape(packet.image)}" if packet.has_image else "no picture"
            said = f"{picture}, {quantity(len(packet.t))} events, lag {packet.lag_us / 1000:g} ms"
        case Tensor():
            found = _array(packet.values)
            said = f"{packet.axes} {_shape(packet.values)} {found['dtype']}, {found['min']:g} to {found['max']:g}"
        case Scores():
            label, score = packet.best
            said = f"{label} ({score:.2f})"
        case Boxes():
            names = [packet.labels[k] for k in packet.label]
            said = ", ".join(f"{names.count(name)} {name}" for name in sorted(set(names))) or "no boxes"
        case Triggers() | Imu():
            said = f"{len(packet.t)} samples"
        case _:
            said = type(packet).__name__
    return said


def _rate(packet: Packet) -> float:
    """Events per second of sensor time."""
    span_us = packet.t1_us - packet.t0_us
    return round(packet.n_events * 1e6 / span_us, 1) if span_us > 0 else 0.0


def _array(values: Any) -> dict[str, Any]:
    empty = values.size == 0
    low, high = (0.0, 0.0) if empty else (float(values.min()), float(values.max()))
    return {"shape": list(values.shape), "dtype": values.dtype.name, "min": low, "max": high}


def _mean(image: Any) -> float:
    return round(float(image.mean()), 2) if image.size else 0.0


def _shape(values: Any) -> str:
    return " x ".join(map(str, values.shape))

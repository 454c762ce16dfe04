"""Scores and boxes as JSON lines: sensor time only, floats in shortest float32 form, so equal runs are equal bytes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evpipe.packets import Boxes, Scores


def line(packet: Scores | Boxes, origin: str) -> str:
    """One result as a line: `node port seq t0_us t1_us`, then its content."""
    node, port = origin.split(".", 1)
    head: dict[str, Any] = {"node": node, "port": port, "seq": packet.seq}
    head |= {"t0_us": packet.t0_us, "t1_us": packet.t1_us}
    body = _scores(packet) if isinstance(packet, Scores) else _boxes(packet)
    return json.dumps(head | body, separators=(",", ":")) + "\n"


def _scores(packet: Scores) -> dict[str, Any]:
    return {
        "labels": list(packet.labels),
        "values": _shortest(packet.values),
        "attention": _shortest(packet.attention),
        "kept": [int(kept) for kept in packet.kept],
        "lookahead_us": packet.lookahead_us,
        "extras": {name: _shortest(np.array([value]))[0] for name, value in packet.extras.items()},
    }


def _boxes(packet: Boxes) -> dict[str, Any]:
    columns = [_shortest(column) for column in (packet.x, packet.y, packet.w, packet.h, packet.score)]
    rows = zip(*columns, packet.label, packet.track, strict=True)
    keys = ("x", "y", "w", "h", "score")
    return {
        "boxes": [
            dict(zip(keys, row[:5], strict=True)) | {"label": packet.labels[row[5]], "track": int(row[6])}
            for row in rows
        ]
    }


def _shortest(values: NDArray[Any]) -> list[float]:
    """Doubles that print as the shortest decimals which read back to the same float32."""
    return [float(str(value)) for value in values.astype(np.float32)]

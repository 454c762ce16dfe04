"""The text header of Prophesee RAW files: lines `% key value` that end at `% end` or at the first other byte."""

from __future__ import annotations

import re
from typing import BinaryIO

from evpipe.errors import InputError
from sensors.formats import geometry

MAX_HEADER_BYTES = 2**20

_VGA, _HD = (640, 480), (1280, 720)
# system_ID -> (encoding, (width, height)), for files that say neither; from the vendor's open board table.
_SYSTEMS: dict[int, tuple[str, tuple[int, int]]] = (
    {id_ + high: ("EVT2", _VGA) for id_ in (0x15, 0x17, 0x19, 0x1D, 0x21) for high in (0, 0x80)}
    | dict.fromkeys((0x1C, 0x22, 0x23, 0x29), ("EVT2", _VGA))
    | {0x28: ("EVT3", _VGA)}
    | dict.fromkeys((0x1A, 0x1F, 0x27), ("EVT2", _HD))
    | dict.fromkeys((0x1E, 0x2E, 0x30, 0x31, 0x32), ("EVT3", _HD))
)
_LEGACY = {"2.0": "EVT2", "2.1": "EVT21", "3.0": "EVT3"}
_ALIASES = {"EVT2.0": "EVT2", "EVT2.1": "EVT21", "EVT3.0": "EVT3", "EVT4.0": "EVT4"}


def read_header(file: BinaryIO) -> tuple[dict[str, str], int]:
    """Keys (the last of a repeated one wins) and the offset of the first byte of data."""
    file.seek(0)
    head = file.read(MAX_HEADER_BYTES)
    keys: dict[str, str] = {}
    at = 0
    while head[at : at + 2] == b"% ":
        end = head.find(b"\n", at)
        if end < 0:
            break
        words = head[at + 2 : end].decode("latin-1").split()
        at = end + 1
        if words:
            keys[words[0]] = " ".join(words[1:])
            if words[0] == "end":
                break
    return keys, at


def encoding_of(keys: dict[str, str]) -> str | None:
    """`EVT2`, `EVT21`, `EVT3`, ... by the keys format, evt, system_ID in this order; None when none of them tells."""
    name = keys.get("format", "").split(";")[0].strip().upper()
    if name:
        return _ALIASES.get(name, name)
    if "evt" in keys:
        return _LEGACY.get(keys["evt"], f"EVT {keys['evt']}")
    system = _system(keys)
    return system[0] if system else None


def geometry_of(keys: dict[str, str], path: str) -> tuple[int, int] | None:
    """(width, height) by the keys geometry, format, system_ID; None when none of them tells.

    Raises InputError when geometry and format contradict each other.
    """
    options = dict(part.split("=", 1) for part in keys.get("format", "").split(";")[1:] if "=" in part)
    stated: dict[str, tuple[int, int]] = {}
    match = re.fullmatch(r"\s*(\d{1,5})\s*[xX]\s*(\d{1,5})\s*", keys.get("geometry", ""))
    if match and (size := geometry.believed(match[1], match[2])):
        stated["geometry"] = size
    if size := geometry.believed(options.get("width"), options.get("height")):
        stated["format"] = size
    if len(set(stated.values())) == 2:
        raise InputError(
            f"{path}: the header contradicts itself: geometry says {stated['geometry']}, format says "
            f"{stated['format']} (width, height). Give size: [height, width]."
        )
    if stated:
        return next(iter(stated.values()))
    system = _system(keys)
    return system[1] if system else None


def _system(keys: dict[str, str]) -> tuple[str, tuple[int, int]] | None:
    number = keys.get("system_ID", "")
    return _SYSTEMS.get(int(number)) if number.isdecimal() and len(number) < 10 else None

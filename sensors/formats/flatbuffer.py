"""Walks flatbuffers by hand, each offset checked; layout as in the FlatBuffers binary format description."""

from __future__ import annotations

import struct


class FlatbufferError(ValueError):
    """An offset points outside the buffer, or something else that no writer produces."""


def number(data: bytes, at: int, code: str) -> int:
    """The little-endian integer of struct `code` at byte `at`."""
    try:
        value: int = struct.unpack_from("<" + code, data, at)[0] if at >= 0 else _outside(data, at)
    except struct.error:
        value = _outside(data, at)
    return value


def root(data: bytes, at: int, identifier: bytes) -> int:
    """Position of the root table of the buffer that begins at `at` (after a size prefix, when it has one)."""
    found = bytes(data[at + 4 : at + 8])
    if found != identifier:
        raise FlatbufferError(f"holds {found!r} where {identifier!r} belongs")
    return at + number(data, at, "I")


def field(data: bytes, table: int, slot: int) -> int:
    """Position of field `slot` of the table at `table`; 0 when it is absent and so has its default value."""
    vtable = table - number(data, table, "i")
    size = number(data, vtable, "H")
    entry = 4 + 2 * slot
    offset = number(data, vtable + entry, "H") if entry + 2 <= size else 0
    return table + offset if offset else 0


def vector(data: bytes, at: int, element: int) -> tuple[int, int]:
    """(position of the first element, count) of the vector that the offset at `at` points to; `element` in bytes."""
    start = at + number(data, at, "I")
    count = number(data, start, "I")
    if start + 4 + count * element > len(data):
        raise FlatbufferError(f"a vector of {count} elements of {element} bytes reaches beyond the end")
    return start + 4, count


def integer(data: bytes, table: int, slot: int, code: str, default: int = 0) -> int:
    """An integer field of a table."""
    at = field(data, table, slot)
    return number(data, at, code) if at else default


def _outside(data: bytes, at: int) -> int:
    raise FlatbufferError(f"an offset points to byte {at} of {len(data)}")

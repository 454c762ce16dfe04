"""AEDAT 4 event structs to columns, and the fields of flatbuffer tables, every offset checked against the buffer."""

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _unsigned(data: Any, at: int, size: int) -> Any:
    value = np.int64(0)
    for k in range(size):
        value |= np.int64(data[at + k]) << (8 * k)
    return value


@njit(cache=True, nogil=True)
def event_vector(data: Any) -> tuple[int, int]:
    """(position, count) of the 16-byte structs in a size-prefixed EVTS flatbuffer; count -1: it is not one."""
    end = len(data)
    if end < 16 or _unsigned(data, 8, 4) != 0x53545645:  # "EVTS"
        return 0, -1
    table = 4 + _unsigned(data, 4, 4)
    if table + 4 > end:
        return 0, -1
    back = _unsigned(data, table, 4)
    vtable = table - (back - ((back >> 31) << 32))
    if vtable < 0 or vtable + 4 > end:
        return 0, -1
    if _unsigned(data, vtable, 2) < 6:
        return 0, 0
    if vtable + 6 > end:
        return 0, -1
    offset = _unsigned(data, vtable + 4, 2)
    if offset == 0:
        return 0, 0
    if table + offset + 4 > end:
        return 0, -1
    vector = table + offset + _unsigned(data, table + offset, 4)
    if vector + 4 > end:
        return 0, -1
    count = _unsigned(data, vector, 4)
    if vector + 4 + 16 * count > end:
        return 0, -1
    return vector + 4, count


@njit(cache=True, nogil=True)
def events(packed: Any, width: int, height: int, t: Any, x: Any, y: Any, p: Any, first: int) -> int:
    """Spread `packed` (int64 pairs: time; then int16 x, int16 y, bool) over columns from place `first` on.

    Returns the place after the last; events outside the sensor are left out.
    """
    n, one = np.uint64(first), np.uint64(1)
    for i in range(len(packed) // 2):
        rest = packed[2 * i + 1]
        column, row = rest & 0xFFFF, (rest >> 16) & 0xFFFF
        if column < width and row < height:
            t[n] = packed[2 * i]
            x[n] = column
            y[n] = row
            p[n] = np.int64((rest >> 32) & 0xFF != 0)
            n += one
    return np.int64(n)


@njit(cache=True, nogil=True)
def table_fields(data: Any, vector: int, slots: Any, sizes: Any, out: Any) -> int:
    """Read fields `slots` (each of `sizes` bytes) of every table in the vector of tables at `vector`.

    `out` int64 [N, fields] takes the bits, signed; an absent field is 0. Returns -1, or the number of the first table
    that reaches outside `data`.
    """
    end = len(data)
    for i in range(len(out)):
        place = vector + 4 + 4 * i
        if place + 4 > end:
            return i
        table = place + _unsigned(data, place, 4)
        if table + 4 > end:
            return i
        back = _unsigned(data, table, 4)
        vtable = table - (back - ((back >> 31) << 32))
        if vtable < 0 or vtable + 4 > end:
            return i
        vtable_size = _unsigned(data, vtable, 2)
        if vtable + vtable_size > end:
            return i
        for k in range(len(slots)):
            out[i, k] = 0
            entry = 4 + 2 * slots[k]
            if entry + 2 > vtable_size:
                continue
            offset = _unsigned(data, vtable + entry, 2)
            if offset == 0:
                continue
            if table + offset + sizes[k] > end:
                return i
            value = _unsigned(data, table + offset, sizes[k])
            bits = 8 * sizes[k]
            if bits < 64:
                value -= (value >> (bits - 1)) << bits
            out[i, k] = value
    return -1

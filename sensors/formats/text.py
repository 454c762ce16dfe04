"""Events as text: one a line, columns by a header's names or by what they can be (t x y p, also with t in seconds)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from sensors.formats import geometry
from sensors.formats.columns import Unit, named, order_of, unit_of
from sensors.formats.reader import BLOCK_BYTES, Account, Chunk, Columns, outside_text

_LOOK = 2**16
_MARK = "\ufeff".encode()
_LINES = 400
_SCALES: dict[Unit, int] = {"s": 6, "us": 0, "ns": -3}
SUFFIXES = (".csv", ".txt", ".tsv", ".events")


class Layout(NamedTuple):
    """How a text holds events: columns of t, x, y, p, unit of t, (width, height) if it says one, where lines begin."""

    places: tuple[int, int, int, int]
    unit: Unit
    size: tuple[int, int] | None
    start: int


class TextReader:
    """Reads events line by line; lines that are none are counted, with the byte of the first."""

    format = "TEXT"
    streams: tuple[str, ...] = ("events",)
    mirror_x = mirror_y = False
    disorder_us = 0

    def __init__(self, path: str, file: BinaryIO, layout: Layout, size: tuple[int, int] | None = None) -> None:
        """`size` (width, height) overrides the file's; without either it is taken from the events."""
        self.path = path
        self.account = Account()
        self.block_bytes = BLOCK_BYTES
        self._file, self._layout = file, layout
        size = size or layout.size
        self._guessed = size is None
        self.width: int | None
        self.height: int | None
        self.width, self.height = self._size = size or self._farthest()

    def chunks(self, wanted: frozenset[str] | None = None) -> Iterator[Chunk]:
        """The events."""
        from sensors.kernels import text

        self.account = account = Account()
        n, state, first = 0, text.new_state(), [-1, -1]
        for columns, count in self._decoded(state, self._size, first):
            n += count
            if count:
                yield columns.first(count)
        account.note(geometry.note(self._size), self._guessed)
        account.note(f"times in {self._layout.unit}, turned to us", n * (self._layout.unit != "us"))
        if state[text.BAD]:
            account.lost(first[0], f"{int(state[text.BAD])} lines are no events and were left out; this is the first")
        if state[text.OUTSIDE]:
            account.lost(first[1], outside_text(int(state[text.OUTSIDE]), self._size))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _decoded(self, state: np.ndarray, size: tuple[int, int], first: list[int]) -> Iterator[tuple[Columns, int]]:
        """Columns, used again, and how many events they hold; `first` takes the bytes of the first bad and outside."""
        from sensors.kernels import text

        buffer = np.empty(max(self.block_bytes, 256) + 1, np.uint8)
        columns = Columns(len(buffer) // 8 + 1)  # the shortest line with an event has eight bytes
        places, scale = np.array(self._layout.places), _SCALES[self._layout.unit]
        self._file.seek(self._layout.start)
        have, offset, more = 0, self._layout.start, True
        while more or have:
            got = self._file.readinto(buffer.data[have:-1]) if more else 0  # type: ignore[attr-defined]
            have += got
            more = got > 0
            if not more and have:  # the last line may lack its end
                buffer[have] = 10
                have += 1
            used, n = text.decode(
                buffer[:have], state, places, scale, *size, columns.t, columns.x, columns.y, columns.p
            )
            for k, place in enumerate((text.FIRST_BAD, text.FIRST_OUTSIDE)):
                if first[k] < 0 <= state[place]:
                    first[k] = offset + int(state[place])
            if n:
                yield columns, n
            if not used and have == len(buffer) - 1:  # a line longer than the buffer
                state[text.BAD] += 1
                first[0] = offset if first[0] < 0 else first[0]
                used = have
            buffer[: have - used] = buffer[used:have].copy()
            offset, have = offset + used, have - used

    def _farthest(self) -> tuple[int, int]:
        from sensors.kernels import text

        state = text.new_state()
        for _ in self._decoded(state, (geometry.MAX_SIDE, geometry.MAX_SIDE), [-1, -1]):
            pass
        return geometry.smallest(int(state[text.FAR_X]), int(state[text.FAR_Y]))


def look(file: BinaryIO, suffix: str) -> Layout | None:
    """How this text holds events; None if it holds none."""
    file.seek(0)
    data = file.read(_LOOK)
    if len(data) < os.fstat(file.fileno()).st_size:
        data = data[: data.rfind(b"\n") + 1]
    size, names, at, start = None, None, 0, -1
    rows: list[list[float]] = []
    for line in data.split(b"\n"):
        begin, at = at, at + len(line) + 1
        text = line.decode("utf-8-sig", "replace").strip()
        fields = text.lstrip("#% ").replace(",", " ").replace(";", " ").split()
        numbers = None if text[:1] in ("#", "%") else _numbers(fields)
        if numbers is None:
            if start < 0 and fields:
                found, found_size = _header(fields)
                size = found_size or size
                if found is not None:
                    names = [name for name, _ in found]
                elif text[:1] not in ("#", "%"):
                    return None
            elif fields and text[:1] not in ("#", "%"):
                rows.append([])  # no event; some are forgiven
            continue
        if not numbers:
            continue
        if start < 0 and len(numbers) == 2 and size is None:
            size = geometry.believed(*(str(int(number)) for number in numbers))
            continue
        if start < 0:
            start = begin + (len(_MARK) if line.startswith(_MARK) else 0)
        rows.append(numbers)
        if len(rows) >= _LINES:
            break
    return _layout(rows, names, size, start, suffix)


def _layout(
    rows: list[list[float]], names: list[str] | None, size: tuple[int, int] | None, start: int, suffix: str
) -> Layout | None:
    width = max(map(len, rows), default=0)
    whole = [row for row in rows if len(row) == width]
    if width < 4 or len(whole) < 0.9 * len(rows) or (suffix not in SUFFIXES and len(whole) < 10):
        return None
    table = np.array(whole, np.float64)
    chosen = named(names) if names else None
    if chosen is not None and names is not None and len(names) == width:
        places = [names.index(name) for name in chosen]
        unit_name = chosen[0]
    else:
        order = order_of(list(table.T)) if width == 4 else None
        if order is None:
            return None
        places, unit_name = [order.index(name) for name in "txyp"], ""
    unit = unit_of(table[:, places[0]], unit_name)
    return Layout((places[0], places[1], places[2], places[3]), unit, size, start)


def _numbers(fields: list[str]) -> list[float] | None:
    try:
        found = [float(field) for field in fields]
    except ValueError:
        return None
    return found if all(map(np.isfinite, found)) else None


def _header(fields: list[str]) -> tuple[list[tuple[str, str]] | None, tuple[int, int] | None]:
    """Names of columns, and (width, height) where they are written as x@320 and y@240."""
    parts = [(name, number) for name, _, number in (field.strip("\"'").partition("@") for field in fields)]
    chosen = named(name for name, _ in parts)
    if chosen is None:
        return None, None
    sides = dict(parts)
    return parts, geometry.believed(sides[chosen[1]], sides[chosen[2]])

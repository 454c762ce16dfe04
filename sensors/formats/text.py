"""Events as text: one a line, columns by a header's names or by what they can be (t x y p, also with t in seconds)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from evpipe.packets import I64
from sensors.formats import geometry
from sensors.formats.columns import Unit, named, order_of, unit_of
from sensors.formats.file_reader import FileReader
from sensors.formats.follow import Follow
from sensors.formats.reader import IDLE, Chunk, Columns, EventChunk, Place, Window, outside_text

_LOOK = 2**16
_MARK = "\ufeff".encode()
_LINES = 400
_NO_STATE = np.empty(0, np.int64)
_SCALES: dict[Unit, int] = {"s": 6, "us": 0, "ns": -3}
SUFFIXES = (".csv", ".txt", ".tsv", ".events")


class Layout(NamedTuple):
    """How a text holds events: columns of t, x, y, p, unit of t, (width, height) if it says one, where lines begin."""

    places: tuple[int, int, int, int]
    unit: Unit
    size: tuple[int, int] | None
    start: int


class TextReader(FileReader):
    """Reads events line by line; lines that are none are counted, with the byte of the first."""

    format = "TEXT"

    def __init__(self, path: str, file: BinaryIO, layout: Layout, size: tuple[int, int] | None = None) -> None:
        """`size` (width, height) overrides the file's; without either it is taken from the events."""
        super().__init__(path, file)
        self._layout = layout
        size = size or layout.size
        self._guessed = size is None
        self.follows = not self._guessed
        self.width, self.height = self._size = size or self._farthest()

    def items(self, place: Place | None, wanted: frozenset[str] | None) -> Iterator[Chunk | Place]:
        """The events."""
        from sensors.kernels import text

        account, n, state, first = self.account, 0, text.new_state(), [-1, -1]
        start = self._layout.start if place is None else place.offset
        for item in self._decoded(state, self._size, first, start, self.follow):
            n += len(item.t) if isinstance(item, EventChunk) else 0
            yield item
        account.note(geometry.note(self._size), self._guessed)
        account.note(f"times in {self._layout.unit}, turned to us", n * (self._layout.unit != "us"))
        if state[text.BAD]:
            account.lost(first[0], f"{int(state[text.BAD])} lines are no events and were left out; this is the first")
        if state[text.OUTSIDE]:
            account.lost(first[1], outside_text(int(state[text.OUTSIDE]), self._size))

    def _decoded(
        self, state: I64, size: tuple[int, int], first: list[int], start: int, follow: Follow | None = None
    ) -> Iterator[EventChunk | Place]:
        """Events and places between them; `first` takes the bytes of the first bad line and the first outside."""
        from sensors.kernels import text

        window = Window(self._file, start, max(self.block_bytes, 256), self.account, follow)
        columns = Columns(max(self.block_bytes, 256) // 8 + 2)  # the shortest line with an event has eight bytes
        places, scale = np.array(self._layout.places), _SCALES[self._layout.unit]
        more: bool | None = True
        while more is not False:
            more = window.fill()
            if more is None:
                yield IDLE
                continue
            data = window.data
            if not more and len(data):  # the last line may lack its end
                data = np.append(data, np.uint8(10))
            yield Place(window.offset, _NO_STATE)
            used, n = text.decode(data, state, places, scale, *size, columns.t, columns.x, columns.y, columns.p)
            for k, place in enumerate((text.FIRST_BAD, text.FIRST_OUTSIDE)):
                if first[k] < 0 <= state[place]:
                    first[k] = window.offset + int(state[place])
            if n:
                yield columns.first(n)
            if not used and window.full:  # a line longer than the window
                state[text.BAD] += 1
                first[0] = window.offset if first[0] < 0 else first[0]
                used = len(data)
            window.use(min(used, len(window.data)))

    def _farthest(self) -> tuple[int, int]:
        from sensors.kernels import text

        state = text.new_state()
        for _ in self._decoded(state, (geometry.MAX_SIDE, geometry.MAX_SIDE), [-1, -1], self._layout.start):
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

"""Arrays of numpy: `.npy` with one table of events, `.npz` with a table or a column each. Nothing is unpickled.

Headers are read here, so that sizes are checked before memory is taken, and blocks are read one by one.
"""

from __future__ import annotations

import ast
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple, Protocol

import numpy as np

from evpipe.errors import InputError
from sensors.formats import geometry
from sensors.formats.columns import Columns4, Extent, Sieve, named, order_of, unit_of
from sensors.formats.file_reader import FileReader, Range
from sensors.formats.reader import Account, Chunk, Place

MAGIC = b"\x93NUMPY"
_ROW_BYTES = 16  # of an event, about: how many rows a block has
_SAMPLE_ROWS = 4096
_MAX_HEADER_BYTES = 10_000
_MAX_ROW_BYTES = 4096
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)


class _ArrayError(ValueError):
    """An array that cannot be read, with the reason."""


class _Stream(Protocol):
    def read(self, n: int, /) -> bytes: ...


class _Array(NamedTuple):
    """An array in a file: `open` gives its content from a byte of it on, `offset` is where that lies in the file.

    `packed`: it lies in an archive; `direct`: any byte of it is reached at once.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    by_columns: bool
    open: Callable[[int], _Stream]
    offset: int
    packed: bool
    direct: bool


class _Column(NamedTuple):
    """A column of events: bytes of an array from `start` on, one value every `dtype.itemsize` of them."""

    array: _Array
    start: int
    dtype: np.dtype[Any]


class ArraysReader(FileReader):
    """Reads columns by name, or a table of four columns whose order shows; times with fractions are seconds."""

    def __init__(self, path: str, file: BinaryIO, size: tuple[int, int] | None = None) -> None:
        """`size` (width, height) overrides the file's; without either it is taken from the events.

        Raises InputError for arrays that hold no events, or Python objects.
        """
        super().__init__(path, file)
        self._zip: zipfile.ZipFile | None = None
        file.seek(0)
        is_npy = file.read(6) == MAGIC
        self.format = "NPY" if is_npy else "NPZ"
        try:
            arrays = {"events": self._npy()} if is_npy else self._npz()
            self._choose(arrays)
        except _ArrayError as error:
            raise InputError(f"{path}: {error}") from None
        except _ZIP_ERRORS as error:
            raise InputError(f"{path}: this archive cannot be read: {error}. Get a whole copy.") from None
        chosen = [self._table] if self._table else [column.array for column in self._columns]
        self.seekable = all(array.direct for array in chosen)
        self._guessed = size is None and (size := self._stated(arrays)) is None
        self.width, self.height = self._size = size or self._farthest()

    def items(self, place: Place | None, wanted: frozenset[str] | None) -> Iterator[Chunk | Place]:
        """The events."""
        account, sieve, n = self.account, Sieve(self._size, self._unit), 0
        begin = 0 if place is None else int(place.state[0])
        for row, offset, step, columns in self._blocks(account, begin=begin):
            yield Place(offset, np.array([row]))
            found = sieve(columns, offset, step)
            n += len(found.t)
            if len(found.t):
                yield found
        account.note(geometry.note(self._size), self._guessed)
        account.note(f"times in {self._unit}, turned to us", n * (self._unit != "us"))
        sieve.tell(account)

    def ranges(self) -> tuple[Range, ...]:
        """The row."""
        return ((0, 2**48),)

    def close(self) -> None:
        """Close the file."""
        if self._zip is not None:
            self._zip.close()
        self._file.close()

    def _npy(self) -> _Array:
        """The one array of a `.npy` file."""
        handle, end = self._file.fileno(), os.fstat(self._file.fileno()).st_size
        dtype, shape, by_columns, start = _header(_FilePart(handle, 0, end))
        return _Array(dtype, shape, by_columns, lambda at: _FilePart(handle, start + at, end), start, False, True)

    def _npz(self) -> dict[str, _Array]:
        """The arrays of a `.npz` file by their names."""
        archive = self._zip = zipfile.ZipFile(self._file)
        arrays = {}
        for info in archive.infolist():
            if not info.filename.endswith(".npy"):
                continue
            try:
                with archive.open(info) as stream:
                    dtype, shape, by_columns, start = _header(stream)
            except _ArrayError:
                continue  # an object, or nothing that an array of events could be
            direct = info.compress_type == zipfile.ZIP_STORED
            opened = _opener(archive, info, start, self._file.fileno() if direct else None)
            arrays[info.filename[:-4]] = _Array(dtype, shape, by_columns, opened, info.header_offset, True, direct)
        if not arrays:
            raise _ArrayError(
                "is a zip archive without arrays of numbers (.npy). If recordings are in it, unpack it first."
            )
        return arrays

    def _choose(self, arrays: dict[str, _Array]) -> None:
        """Find the columns; sets what `_blocks` reads."""
        self._fields: tuple[str, ...] | None = None
        self._table: _Array | None = None
        names = named(name for name, array in arrays.items() if _is_column(array))
        if names is not None:
            chosen = [arrays[name] for name in names]
            self._columns = [_Column(array, 0, array.dtype) for array in chosen]
            self._rows = min(array.shape[0] for array in chosen)
            self._stated_rows = max(array.shape[0] for array in chosen)
            name = names[0]
        else:
            tables = [array for array in arrays.values() if _is_table(array)]
            if len(tables) != 1:
                said = ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in list(arrays.items())[:8])
                raise _ArrayError(
                    f"its arrays hold no events that evpipe finds ({said}): columns t, x, y, p by name, or one table "
                    "of four columns. Convert it."
                )
            name = self._choose_table(tables[0])
        sample = next(self._blocks(Account(), rows=_SAMPLE_ROWS), None)
        self._unit = unit_of(sample[3][0], name) if sample else "us"

    def _choose_table(self, table: _Array) -> str:
        """Find the columns of a table; the name of its times."""
        if table.dtype.names:
            fields = named(table.dtype.names)
            assert fields is not None, "a table without these fields is none"
            self._table, self._fields = table, fields
            self._rows = self._stated_rows = table.shape[0]
            return fields[0]
        across = table.shape[1] != 4
        self._rows = self._stated_rows = rows = table.shape[1 if across else 0]
        if across == table.by_columns:  # four values of an event lie together
            self._table, self._order = table, (0, 1, 2, 3)
        else:
            itemsize = table.dtype.itemsize
            self._columns = [_Column(table, k * rows * itemsize, table.dtype) for k in range(4)]
        sample = next(self._blocks(Account(), rows=_SAMPLE_ROWS), None)
        order = order_of(sample[3]) if sample else "txyp"
        if order is None:
            raise _ArrayError("its four columns are in no order that makes events of them (t, x, y, p). Convert it.")
        places = tuple(order.index(column) for column in "txyp")
        if self._table is not None:
            self._order = (places[0], places[1], places[2], places[3])
        else:
            self._columns = [self._columns[place] for place in places]
        return ""

    def _blocks(self, account: Account, begin: int = 0, rows: int = 0) -> Iterator[tuple[int, int, int, Columns4]]:
        """(first row, its byte, bytes from row to row, columns) block by block, as far as the file goes."""
        given, rows = begin, rows or max(1, self.block_bytes // _ROW_BYTES)
        array = self._table or self._columns[0].array
        step = 0 if array.packed else array.dtype.itemsize * (4 if self._table and not array.dtype.names else 1)
        reason = ""
        try:
            if self._table is not None:
                kind = self._row_type(self._table)
                parts = [(self._table.open(begin * kind.itemsize), kind)]
            else:
                parts = [
                    (column.array.open(column.start + begin * column.dtype.itemsize), column.dtype)
                    for column in self._columns
                ]
            while given < self._rows:
                wanted = min(rows, self._rows - given)
                read = [_take(stream, dtype, wanted) for stream, dtype in parts]
                n = min(map(len, read))
                if n:
                    yield given, array.offset + given * step, step, self._split([part[:n] for part in read])
                given += n
                if n < wanted:
                    break
        except _ZIP_ERRORS as error:
            reason = f" ({error})"
        if given < self._stated_rows:
            account.lost(array.offset + given * step, f"the events end after {given} of {self._stated_rows}{reason}")

    def _row_type(self, table: _Array) -> np.dtype[Any]:
        return table.dtype if table.dtype.names else np.dtype((table.dtype, (4,)))

    def _split(self, read: list[Any]) -> Columns4:
        if self._table is None:
            return read[0], read[1], read[2], read[3]
        if self._fields is not None:
            t, x, y, p = (read[0][name] for name in self._fields)
            return t, x, y, p
        t, x, y, p = (read[0][:, place] for place in self._order)
        return t, x, y, p

    def _stated(self, arrays: dict[str, _Array]) -> tuple[int, int] | None:
        """(width, height) where the archive has arrays of these names with one number each."""
        found = []
        for name in ("width", "height"):
            array = arrays.get(name)
            if array is None or array.dtype.kind not in "iu" or int(np.prod(array.shape, dtype=object)) != 1:
                return None
            value = _take(array.open(0), array.dtype, 1)
            found.append(int(value[0]) if len(value) else 0)
        return geometry.believed(*found)

    def _farthest(self) -> tuple[int, int]:
        extent = Extent()
        for _, _, _, (_, x, y, _) in self._blocks(Account()):
            extent.add(x, y)
        return extent.sensor()


class _FilePart:
    """Bytes of a file from `at` to `end`, read without moving the file."""

    def __init__(self, handle: int, at: int, end: int) -> None:
        self._handle, self._at, self._end = handle, at, end

    def read(self, n: int, /) -> bytes:
        got = os.pread(self._handle, max(0, min(n, self._end - self._at)), self._at) if self._at < 2**62 else b""
        self._at += len(got)
        return got


def _opener(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, start: int, handle: int | None
) -> Callable[[int], _Stream]:
    """`start`: byte of the values; `handle`: the archive's, where the member is stored as it is."""

    def opened(at: int) -> _Stream:
        if handle is not None and at:
            local = os.pread(handle, 30, info.header_offset)
            names = int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
            begin = info.header_offset + 30 + names
            return _FilePart(handle, begin + start + at, begin + info.file_size)
        stream = archive.open(info)
        left = start + at
        while left and (got := len(stream.read(min(left, 2**20)))):
            left -= got
        return stream

    return opened


def _header(stream: _Stream) -> tuple[np.dtype[Any], tuple[int, ...], bool, int]:
    """(dtype, shape, is stored column by column, byte at which values begin) of an array; raises _ArrayError."""
    head = _whole(stream, 8)
    if head[:6] != MAGIC or head[6:7] not in (b"\1", b"\2", b"\3"):
        raise _ArrayError("an array of it has no header of numpy. Get a whole copy.")
    wide = 2 if head[6] == 1 else 4
    size = int.from_bytes(_whole(stream, wide), "little")
    if size > _MAX_HEADER_BYTES:
        raise _ArrayError(f"the header of its array says {size} bytes, more than any has. Get a whole copy.")
    text = _whole(stream, size)
    try:
        header = ast.literal_eval(text.decode("utf-8" if head[6] == 3 else "latin-1"))
        shape, by_columns = header["shape"], header["fortran_order"]
        dtype = np.lib.format.descr_to_dtype(header["descr"])
        good = isinstance(shape, tuple) and all(type(n) is int and 0 <= n < 2**48 for n in shape)
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError, IndexError, AttributeError):
        good = False
    if not good:
        raise _ArrayError("the header of its array makes no sense. Get a whole copy.")
    if dtype.hasobject:
        raise _ArrayError("its array holds Python objects, which are not loaded: they could run code. Convert it.")
    return dtype, shape, bool(by_columns), 8 + wide + size


def _whole(stream: _Stream, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise _ArrayError("the file ends inside the header of its array. Get a whole copy.")
    return data


def _take(stream: _Stream, dtype: np.dtype[Any], n: int) -> Any:
    """Up to `n` values; fewer at the end."""
    size, parts, have = n * dtype.itemsize, [], 0
    while have < size and (part := stream.read(size - have)):
        parts.append(part)
        have += len(part)
    return np.frombuffer(b"".join(parts), dtype, have // dtype.itemsize)


def _is_number(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "iufb" and dtype.itemsize <= 8


def _is_column(array: _Array) -> bool:
    return _is_number(array.dtype) and (len(array.shape) == 1 or (len(array.shape) == 2 and array.shape[1] == 1))


def _is_table(array: _Array) -> bool:
    if fields := array.dtype.names:
        names = named(fields)
        whole = len(array.shape) == 1 and array.dtype.itemsize <= _MAX_ROW_BYTES and names is not None
        return whole and all(_is_number(array.dtype[name]) for name in names or ())
    return _is_number(array.dtype) and len(array.shape) == 2 and 4 in array.shape

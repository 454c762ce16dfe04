"""HDF5: Prophesee's (plain or with its ECF codec), DSEC's, and others with columns of events by name.

The container is read by h5py, an optional package; the ECF codec by a decoder of our own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from evpipe.errors import InputError
from sensors.formats import geometry
from sensors.formats.columns import Columns4, Extent, Sieve, named, unit_of
from sensors.formats.file_reader import FileReader, Range
from sensors.formats.reader import Account, Chunk, Columns, Place, TriggerChunk, outside_text

ECF = 0x8ECF
_ROWS = 2**16  # of trigger edges, read at a time
_ROW_BYTES = 16  # of an event, about: how many rows a block has
_MAX_CHUNK_BYTES = 2**26
_HEAP = b"GCOL\1\0\0\0"
_HEAP_LOOK = 2**24
_FILTERS = {32001: "Blosc", 32026: "Blosc2", 32004: "LZ4", 32015: "Zstandard", 32008: "Bitshuffle", 307: "bzip2"}
# Where events lie: groups with a column each.
_GROUPS = ("events", "/", "davis/left/events", "prophesee/left", "davis/left")


def open_hdf5(path: str, file: BinaryIO, size: tuple[int, int] | None = None) -> EcfReader | ColumnsReader:
    """The reader for what an HDF5 file holds. Raises InputError, also when h5py or a filter is not installed."""
    try:
        import h5py  # type: ignore[import-untyped]
    except ImportError:
        raise InputError(f"{path}: is an HDF5 file, which needs the package h5py: pip install h5py") from None
    try:
        h5 = h5py.File(path, "r", locking=False)
    except Exception as error:  # h5py passes on whatever the library says, in several classes
        raise InputError(f"{path}: this HDF5 file cannot be opened: {_said(error)}. Get a whole copy.") from None
    try:
        file.close()
        return _choose(path, h5, size)
    except InputError:
        h5.close()
        raise
    except Exception as error:
        h5.close()
        raise InputError(f"{path}: this HDF5 file is damaged: {_said(error)}. Get a whole copy.") from None


def _choose(path: str, h5: Any, size: tuple[int, int] | None) -> EcfReader | ColumnsReader:
    import h5py

    if isinstance(events := _at(h5, "CD/events"), h5py.Dataset):
        names = named(events.dtype.names or ())
        if names is None or events.ndim != 1:
            raise InputError(f"{path}: /CD/events has no columns t, x, y, p. Get a whole copy, or convert it.")
        fields = [events.dtype[name] for name in names]
        if any(field.kind not in "iufb" or field.itemsize > 8 for field in fields):
            raise InputError(f"{path}: the columns of /CD/events are no numbers. Get a whole copy, or convert it.")
        size = size or _geometry(h5)
        if _filters(events) == [ECF]:
            return EcfReader(path, h5, size)
        _readable(path, events)
        return ColumnsReader(path, h5, "HDF5-METAVISION", [(events, name) for name in names], size)
    for group in _GROUPS:
        found = _at(h5, group)
        if isinstance(found, h5py.Dataset) and found.ndim == 2 and found.shape[1] == 4:
            _readable(path, found)
            return ColumnsReader(path, h5, "HDF5", [(found, k) for k in (2, 0, 1, 3)], size or _geometry(h5))
        if not isinstance(found, h5py.Group) or (names := named(found)) is None:
            continue
        sets = [found[name] for name in names]
        if not all(isinstance(one, h5py.Dataset) and one.ndim == 1 and one.dtype.kind in "iufb" for one in sets):
            continue
        for one in sets:
            _readable(path, one)
        dsec = "ms_to_idx" in h5 or "t_offset" in h5
        form = "HDF5-DSEC" if dsec else "HDF5"
        return ColumnsReader(path, h5, form, [(one, None) for one in sets], size or _geometry(h5))
    raise InputError(
        f"{path}: is an HDF5 file without events that evpipe finds: it looks for /CD/events (Prophesee), and for "
        "columns x, y, t and p in /events or at the top (DSEC). Convert it."
    )


class _Hdf5Reader(FileReader):
    """What both readers share: the size of the sensor, and places: a row or chunk, and edges given before it."""

    def __init__(self, path: str, h5: Any, size: tuple[int, int] | None) -> None:
        super().__init__(path, h5)
        self._guessed = size is None
        self.width, self.height = self._size = size or self._farthest()

    def _farthest(self) -> tuple[int, int]:
        raise NotImplementedError

    def ranges(self) -> tuple[Range, ...]:
        """Row or chunk, edges."""
        return (0, 2**48), (0, 2**48)


class EcfReader(_Hdf5Reader):
    """Reads Prophesee's HDF5 with its ECF codec, chunk by chunk; times are as stored, absolute."""

    format = "HDF5-ECF"

    def __init__(self, path: str, h5: Any, size: tuple[int, int] | None) -> None:
        """`size` (width, height) overrides the file's; without either it is taken from the events."""
        self._events = h5["CD/events"]
        self._there = _rows_there(self._events)
        self._triggers = _Triggers(h5)
        self.streams = ("events", "triggers") if self._triggers.found else ("events",)
        super().__init__(path, h5, size)

    def items(self, place: Place | None, wanted: frozenset[str] | None) -> Iterator[Chunk | Place]:
        """Trigger edges, and the events up to the last of them."""
        account, outside, first_outside = self.account, 0, -1
        first, n_edges = (0, 0) if place is None else (int(value) for value in place.state)
        triggers = self._triggers.from_row(n_edges, account)
        for k, offset, n, columns in self._decoded(account, first):
            yield Place(offset, np.array([k, triggers.given]))
            x, y = columns.x[:n], columns.y[:n]
            keep = (x < self._size[0]) & (y < self._size[1])
            kept = int(np.count_nonzero(keep))
            if kept < n:
                first_outside = offset if first_outside < 0 else first_outside
                outside += n - kept
                for column in (columns.t, columns.x, columns.y, columns.p):
                    column[:kept] = column[:n][keep]
            if kept:
                yield from triggers.up_to(int(columns.t[kept - 1]))
                yield columns.first(kept)
        yield from triggers.up_to(None)
        account.note(geometry.note(self._size), self._guessed)
        if outside:
            account.lost(first_outside, outside_text(outside, self._size))

    def _decoded(self, account: Account, first: int = 0) -> Iterator[tuple[int, int, int, Columns]]:
        """(number, byte of the chunk, events, columns) of each chunk from one on; the columns are used again."""
        from sensors.kernels import ecf

        ids, step, total = self._events.id, self._events.chunks[0], self._events.shape[0]
        columns = Columns(ecf.MAX_EVENTS)
        for k in range(first, -(-self._there // step)):
            try:
                info = ids.get_chunk_info_by_coord((k * step,))
                if info.byte_offset is None or info.size > _MAX_CHUNK_BYTES:
                    raise ValueError("it is not stored" if info.byte_offset is None else f"it has {info.size} bytes")
                raw = ids.read_direct_chunk((k * step,))[1]
            except Exception as error:
                account.lost(0, f"chunk {k} of /CD/events cannot be read ({_said(error)}) and was left out")
                continue
            data = np.frombuffer(raw, np.uint8)
            n = ecf.decode(data, columns.t, columns.x, columns.y, columns.p)
            if n < 0:
                account.lost(int(info.byte_offset) - 1 - n, f"chunk {k} of /CD/events is damaged and was left out")
            elif n != (wants := min(step, total - k * step)):
                account.lost(int(info.byte_offset), f"chunk {k} of /CD/events holds {n} events instead of {wants}")
            if n > 0:
                yield k, int(info.byte_offset), n, columns
        if self._there < total:
            account.lost(0, f"/CD/events says {total} events, but its chunks in the file hold only {self._there}")

    def _farthest(self) -> tuple[int, int]:
        extent = Extent()
        for _, _, n, columns in self._decoded(Account()):
            extent.add(columns.x[:n], columns.y[:n])
        return extent.sensor()


class ColumnsReader(_Hdf5Reader):
    """Reads events whose columns are data sets, or fields or columns of one; times are absolute.

    DSEC's `t_offset` is added. Times with fractions are seconds.
    """

    def __init__(
        self, path: str, h5: Any, form: str, sets: list[tuple[Any, str | int | None]], size: tuple[int, int] | None
    ) -> None:
        """`sets`: the data set of t, x, y, p, each with its field or column. `size` (width, height) overrides."""
        self.format = form
        self._sets = sets
        self._triggers = _Triggers(h5)
        self.streams = ("events", "triggers") if self._triggers.found else ("events",)
        offset = _at(h5, "t_offset") if form == "HDF5-DSEC" else None
        self._offset = int(np.asarray(offset[()]).reshape(-1)[0]) if offset is not None else 0
        lengths = [_rows_there(one) for one, _ in sets]
        self._rows = min(lengths)
        self._said = max(one.shape[0] for one, _ in sets)
        times, field = sets[0]
        self._unit = unit_of(np.asarray(_column(times[: min(self._rows, 4096)], field)))
        super().__init__(path, h5, size)

    def items(self, place: Place | None, wanted: frozenset[str] | None) -> Iterator[Chunk | Place]:
        """Trigger edges, and the events up to the last of them."""
        account, sieve, n_timed = self.account, Sieve(self._size, self._unit), 0
        row, n_edges = (0, 0) if place is None else (int(value) for value in place.state)
        triggers = self._triggers.from_row(n_edges, account)
        for first, columns in self._columns(account, row):
            at, step = _place(self._sets[0][0], first)
            yield Place(at, np.array([first, triggers.given]))
            found = sieve(columns, at, step)
            n_timed += len(found.t)
            if len(found.t):
                t = found.t + self._offset
                yield from triggers.up_to(int(t[-1]))
                yield found._replace(t=t)
        yield from triggers.up_to(None)
        account.note(geometry.note(self._size), self._guessed)
        account.note(f"times in {self._unit}, turned to us", n_timed * (self._unit != "us"))
        if self._rows < self._said:
            at, _ = _place(self._sets[0][0], self._rows)
            account.lost(at, f"the events end after {self._rows} of {self._said}: the columns are not equally long")
        sieve.tell(account)

    def _columns(self, account: Account, row: int = 0) -> Iterator[tuple[int, Columns4]]:
        """(first row, t, x, y, p as stored) block by block from a row on; what cannot be read is entered, left out."""
        rows = max(1, self.block_bytes // _ROW_BYTES)
        for first in range(row, self._rows, rows):
            part = slice(first, min(first + rows, self._rows))
            try:
                read: dict[int, Any] = {}
                found = []
                for one, field in self._sets:
                    if id(one) not in read:
                        read[id(one)] = one[part]
                    whole = read[id(one)]
                    found.append(
                        whole if field is None else whole[field] if isinstance(field, str) else whole[:, field]
                    )
            except Exception as error:
                at, _ = _place(self._sets[0][0], first)
                account.lost(at, f"events {first} to {part.stop} cannot be read ({_said(error)}) and were left out")
                continue
            t, x, y, p = found
            yield first, (t, x, y, p)

    def _farthest(self) -> tuple[int, int]:
        extent = Extent()
        for _, (_, x, y, _) in self._columns(Account()):
            extent.add(x, y)
        return extent.sensor()


class _Triggers:
    """Edges of /EXT_TRIGGER/events, given between the events by time."""

    def __init__(self, h5: Any) -> None:
        import h5py

        found = _at(h5, "EXT_TRIGGER/events")
        fields = {"p", "t", "id"}
        good = isinstance(found, h5py.Dataset) and found.ndim == 1 and fields <= set(found.dtype.names or ())
        if good:
            good = all(found.dtype[name].kind in "iu" for name in fields)
        self._set: Any = found if good and not _lacking(found) else None
        self.found = self._set is not None and _rows_there(self._set) > 0

    def from_row(self, row: int, account: Account) -> _Triggers:
        """Begin at an edge. What cannot be read is entered."""
        self.given, self._account = row, account
        self._pending: Any = None
        self._rows = _rows_there(self._set) if self.found else 0
        return self

    def up_to(self, until_us: int | None) -> Iterator[TriggerChunk]:
        """The edges that follow, up to a time, and that included; None: all."""
        while self.given < self._rows:
            if self._pending is None:
                self._pending = self._read()
            n = len(self._pending) if until_us is None else int(np.searchsorted(self._pending["t"], until_us, "right"))
            part, rest = self._pending[:n], self._pending[n:]
            self._pending = rest if len(rest) else None
            if not n:
                return
            self.given += n
            channel = part["id"].astype(np.uint8)
            yield TriggerChunk(part["t"].astype(np.int64), channel, (part["p"] > 0).astype(np.uint8))

    def _read(self) -> Any:
        try:
            return self._set[self.given : min(self.given + _ROWS, self._rows)]
        except Exception as error:
            self._account.lost(0, f"/EXT_TRIGGER/events cannot be read ({_said(error)}); its edges were left out")
            self._rows = 0
            return self._set[:0]


def _at(h5: Any, name: str) -> Any:
    """What a name leads to, None for nothing."""
    return h5[name] if name == "/" or name in h5 else None


def _column(rows: Any, field: str | int | None) -> Any:
    """One column of what was read: all of it, a field, or a column by number."""
    return rows if field is None else rows[field] if isinstance(field, str) else rows[:, field]


def _geometry(h5: Any) -> tuple[int, int] | None:
    """(width, height) by the attributes `geometry`, or `width` and `height`.

    Texts of any length are looked up in the file's own heaps: reading a damaged one through the library ends the
    process, or never ends.
    """
    attributes: dict[str, str] = {}
    for name in ("geometry", "width", "height"):
        try:
            if h5.attrs.get_id(name).dtype.kind == "O":
                continue
            value = h5.attrs[name]
        except (KeyError, OSError, TypeError, ValueError, RuntimeError):
            continue
        attributes[name] = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    said = [attributes["geometry"]] if "geometry" in attributes else _texts(h5.filename)
    matches = [re.fullmatch(r"\s*(\d{1,5})\s*[xX]\s*(\d{1,5})\s*", text) for text in said]
    sizes = {(match[1], match[2]) for match in matches if match}
    if len(sizes) == 1:
        return geometry.believed(*next(iter(sizes)))
    return geometry.believed(attributes.get("width"), attributes.get("height"))


def _texts(path: str) -> list[str]:
    """The texts in the file's heaps, as far as those are whole."""
    texts: list[str] = []
    with open(path, "rb") as file:
        end = file.seek(0, 2)
        for begin in {0, max(0, end - _HEAP_LOOK)}:
            file.seek(begin)
            data = file.read(_HEAP_LOOK)
            at = data.find(_HEAP)
            while at >= 0:
                size = int.from_bytes(data[at + 8 : at + 16], "little")
                place, stop = at + 16, min(at + size, len(data))
                while stop - place >= 16:
                    length = int.from_bytes(data[place + 8 : place + 16], "little")
                    if data[place : place + 2] == b"\0\0" or length > stop - place - 16:
                        break
                    texts.append(data[place + 16 : place + 16 + min(length, 64)].rstrip(b"\0").decode("latin-1"))
                    place += 16 + -(-length // 8) * 8
                at = data.find(_HEAP, at + 16)
    return texts


def _filters(dataset: Any) -> list[int]:
    """Numbers of the filters that a data set went through."""
    plist = dataset.id.get_create_plist()
    return [int(plist.get_filter(k)[0]) for k in range(plist.get_nfilters())]


def _lacking(dataset: Any) -> list[int]:
    """Filters that are not there, also not with hdf5plugin."""
    import h5py

    lacking = [number for number in _filters(dataset) if not h5py.h5z.filter_avail(number)]
    if lacking and set(lacking) != {ECF}:
        try:
            import hdf5plugin  # noqa: F401 (registers its filters)
        except ImportError:
            return lacking
        lacking = [number for number in lacking if not h5py.h5z.filter_avail(number)]
    return lacking


def _readable(path: str, dataset: Any) -> None:
    """Raises InputError for a filter that is not there, for pieces too large to hold, or for other files."""
    if lacking := _lacking(dataset):
        name = _FILTERS.get(lacking[0], f"number {lacking[0]}")
        remedy = "pip install hdf5plugin" if lacking[0] in _FILTERS else "Convert it where that filter is installed"
        raise InputError(f"{path}: {dataset.name} is compressed with the HDF5 filter {name}, not installed: {remedy}")
    pieces = dataset.chunks
    if pieces is not None and int(np.prod(pieces, dtype=object)) * dataset.dtype.itemsize > _MAX_CHUNK_BYTES:
        raise InputError(f"{path}: {dataset.name} is cut in pieces {pieces}, too large to hold. Get a whole copy.")
    if dataset.dtype.itemsize > 4096 or (dataset.ndim == 2 and dataset.dtype.kind not in "iufb"):
        raise InputError(f"{path}: {dataset.name} does not hold events ({dataset.dtype}). Get a whole copy.")
    if dataset.external or dataset.is_virtual:
        raise InputError(f"{path}: {dataset.name} lies in other files. Copy it into one (h5repack).")


def _rows_there(dataset: Any) -> int:
    """Rows that the file can hold: those of chunks that exist; a shape may say anything."""
    rows = int(dataset.shape[0])
    if dataset.chunks is not None:
        there = int(dataset.id.get_num_chunks()) * int(dataset.chunks[0])
    else:
        there = int(dataset.id.get_storage_size()) // max(1, int(dataset.dtype.itemsize))
    return min(rows, there)


def _place(dataset: Any, row: int) -> tuple[int, int]:
    """The byte of the file at or before which a row lies, and bytes from row to row (0 in chunks)."""
    try:
        if dataset.chunks is None:
            step = dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64))
            return int(dataset.id.get_offset() or 0) + row * step, step
        start = row // dataset.chunks[0] * dataset.chunks[0]
        found = dataset.id.get_chunk_info_by_coord((start, *(0,) * (dataset.ndim - 1))).byte_offset
    except Exception:
        return 0, 0
    return int(found or 0), 0


def _said(error: Exception) -> str:
    """The library's words in one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."

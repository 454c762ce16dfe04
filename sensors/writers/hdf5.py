"""Prophesee's HDF5: events as records of x, y, p, t, an index every 2 ms, trigger edges apart; plain, gzip or ECF."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evpipe.errors import RecorderError
from evpipe.packets import U8
from sensors.formats.reader import EventChunk, TriggerChunk
from sensors.writers.writer import FileWriter

ROWS = 16384
"""Rows of a chunk of a data set, as the vendor's writer has it."""
INDEX_US = 2000
MAX_INDEX_GAP = 2**24
_ECF_FILTER = 0x8ECF
_EVENT = np.dtype({"names": list("xypt"), "formats": ["<u2", "<u2", "<i2", "<i8"], "offsets": [0, 2, 4, 8]})
_EDGE = np.dtype({"names": ["p", "t", "id"], "formats": ["<i2", "<i8", "<i2"], "offsets": [0, 8, 16], "itemsize": 24})
_INDEX = np.dtype([("id", "<u8"), ("ts", "<i8")])


class Hdf5Writer(FileWriter):
    """Writes events and trigger edges with absolute times, as they are.

    `packing`: "plain", "gzip" (both open wherever HDF5 does), or "ecf", the vendor's codec: smaller and faster, but
    other readers need its plug-in, it counts 2048 pixels a side, and time cannot step back in it: such events are
    written with the time before, and counted.
    """

    takes = frozenset({"events", "triggers"})

    def __init__(self, path: str | os.PathLike[str], width: int, height: int, packing: str = "plain") -> None:
        """Raises RecorderError when h5py is not installed."""
        self._ecf = packing == "ecf"
        self.format, self.max_side = ("HDF5 with ECF", 2**11) if self._ecf else ("HDF5", 2**16)
        super().__init__(path, width, height)
        try:
            import h5py  # type: ignore[import-untyped]
        except ImportError:
            raise RecorderError(f"{path}: writing HDF5 needs the package h5py: pip install h5py") from None
        with self._disk():
            self._h5: Any = h5py.File(self.path, "w")
            self._h5.attrs["version"] = "1.0"
            self._h5.attrs["geometry"] = f"{width}x{height}"
            self._events = _Rows(self._h5, "CD/events", _EVENT, packing)
            self._edges = _Rows(self._h5, "EXT_TRIGGER/events", _EDGE, "plain")
            self._indexes = {name: _Index(self._h5, f"{name}/indexes") for name in ("CD", "EXT_TRIGGER")}

    def events(self, chunk: EventChunk) -> None:
        """Add events. Raises RecorderError for one outside the sensor."""
        self.check_inside(chunk.x, chunk.y)
        records = np.zeros(len(chunk.t), _EVENT)
        for name, column in zip("txyp", chunk, strict=True):
            records[name] = column
        with self._disk():
            self._indexes["CD"].add(chunk.t)
            self._events.add(records)

    def triggers(self, chunk: TriggerChunk) -> None:
        """Add signal edges."""
        records = np.zeros(len(chunk.t), _EDGE)
        records["p"], records["t"], records["id"] = chunk.value, chunk.t, chunk.channel
        with self._disk():
            self._indexes["EXT_TRIGGER"].add(chunk.t)
            self._edges.add(records)

    def close(self) -> None:
        """Write the last chunks, and close the file."""
        if self._h5 is None:
            return
        h5, self._h5 = self._h5, None
        with self._disk():
            try:
                h5.attrs["time_shift"] = str(self._indexes["CD"].first or 0)
                for rows in (self._events, self._edges):
                    rows.close()
                for index in self._indexes.values():
                    index.close()
            finally:
                h5.close()
        self.note("events whose time stepped back, written with the time before", self._events.held)
        unlisted = sum(index.unlisted for index in self._indexes.values())
        self.note("rows after a jump in time left out of the index, but not of the events", unlisted)

    @contextmanager
    def _disk(self) -> Iterator[None]:
        """What the library says of a full disk, in words."""
        try:
            yield
        except (OSError, RuntimeError) as error:
            said = " ".join(str(error).split())[:160]
            raise RecorderError(
                f"{self.path}: cannot be written: {said}. Free disk space, or write to another disk."
            ) from None


class _Rows:
    """A data set that grows by whole chunks; what is no whole one yet waits."""

    def __init__(self, h5: Any, name: str, kind: np.dtype[Any], packing: str) -> None:
        import h5py

        group, _, last = name.rpartition("/")
        parent = h5.require_group(group)
        self.held = 0
        self._ecf = packing == "ecf"
        if self._ecf:
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_chunk((ROWS,))
            plist.set_obj_track_times(False)
            plist.set_filter(_ECF_FILTER, h5py.h5z.FLAG_OPTIONAL)
            space = h5py.h5s.create_simple((0,), (h5py.h5s.UNLIMITED,))
            type_ = h5py.h5t.py_create(kind, logical=True)
            self._set = h5py.Dataset(h5py.h5d.create(parent.id, last.encode(), type_, space, plist))
        else:
            options = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if packing == "gzip" else {}
            self._set = parent.create_dataset(last, (0,), kind, chunks=(ROWS,), maxshape=(None,), **options)
        self._kind = kind
        self._waiting = np.empty((0, kind.itemsize), np.uint8)

    def add(self, records: NDArray[Any]) -> None:
        """Append rows. They are copied as bytes: the gaps between their fields would come out as anything."""
        bytes_ = records.view(np.uint8).reshape(-1, self._kind.itemsize)
        rows = np.concatenate([self._waiting, bytes_]) if len(self._waiting) else bytes_
        whole = len(rows) // ROWS * ROWS
        self._write(rows[:whole])
        self._waiting = rows[whole:].copy()

    def close(self) -> None:
        """Write what waits."""
        self._write(self._waiting)

    @property
    def attrs(self) -> Any:
        """The data set's attributes."""
        return self._set.attrs

    def _write(self, rows: U8) -> None:
        for first in range(0, len(rows), ROWS):
            part = rows[first : first + ROWS].reshape(-1).view(self._kind)
            at = self._set.shape[0]
            self._set.resize((at + len(part),))
            if self._ecf:
                self._set.id.write_direct_chunk((at,), self._packed(part))
            else:
                self._set[at:] = part

    def _packed(self, part: NDArray[Any]) -> bytes:
        from sensors.kernels import ecf_write

        data = np.empty(ecf_write.HEAD_BYTES + ecf_write.MOST_BYTES * len(part), np.uint8)
        t, x, y, p = (np.ascontiguousarray(part[name]) for name in "txyp")
        n, held = ecf_write.encode(t, x, y, p, data)
        self.held += held
        return data[:n].tobytes()


class _Index:
    """Which row is the first of each 2 ms since the first one, in the vendor's form.

    Entry 0 is (0, -1); entry k is (first row, its time) of bin k - 1, or the one before again if that bin is empty.
    """

    def __init__(self, h5: Any, name: str) -> None:
        self._rows = _Rows(h5, name, _INDEX, "plain")
        self._last = np.array([(0, -1)], _INDEX)
        self._rows.add(self._last)
        self.first: int | None = None
        self.unlisted = 0
        self._n = self._bins = 0

    def add(self, t: NDArray[np.int64]) -> None:
        """Enter the rows that follow; after a jump of more than 9 hours the index goes no further, and counts."""
        if not len(t):
            return
        if self.first is None:
            self.first = int(t[0])
        since = t - self.first
        bins = np.maximum.accumulate(np.maximum(since // INDEX_US, self._bins - 1))
        opens = np.flatnonzero(np.diff(bins, prepend=self._bins - 1) > 0)
        gaps = np.diff(bins[opens], prepend=self._bins - 1)
        if self.unlisted or (len(gaps) and int(gaps.max()) > MAX_INDEX_GAP):
            self.unlisted += len(t)
        elif len(opens):
            entries = np.empty(len(opens), _INDEX)
            entries["id"], entries["ts"] = self._n + opens, since[opens]
            # Empty bins between repeat the entry before them.
            before = np.concatenate([self._last, entries[:-1]])
            fill = np.repeat(before, gaps - 1)
            places = np.cumsum(gaps) - 1
            listed = np.empty(int(gaps.sum()), _INDEX)
            listed[places] = entries
            between = np.ones(len(listed), bool)
            between[places] = False
            listed[between] = fill
            self._rows.add(listed)
            self._last, self._bins = entries[-1:], int(bins[-1]) + 1
        self._n += len(t)

    def close(self) -> None:
        """Write what waits, and what times are counted from."""
        self._rows.attrs["offset"] = str(-(self.first or 0))
        self._rows.close()

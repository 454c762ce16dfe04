"""The table of one recording: a row for each score of a label and each box, in the order they were computed.

Floats are written in the shortest form that reads back to the same float32, so equal results are equal bytes.
"""

from __future__ import annotations

from collections import Counter
from csv import writer
from pathlib import Path
from typing import Any, Protocol, TextIO

from evpipe.errors import RecorderError, UsageError
from evpipe.operator import Operator
from evpipe.packets import Boxes, Events, Frame, Mark, Packet, Scores

COLUMNS = ("node", "port", "seq", "t0_us", "t1_us", "label", "score", "x", "y", "w", "h", "track")
"""`score` of a label, or of a box of this label at `x y w h` (px, top left) with its `track`; times in us."""

GROUP = 2**16


class Table(Protocol):
    """Where rows go."""

    def add(self, rows: list[tuple[Any, ...]]) -> None:
        """Append rows of `COLUMNS`. Raises OSError."""

    def close(self) -> None:
        """Finish the file. Raises OSError."""


class Csv:
    """Comma-separated values with a header line; what a row does not have is empty."""

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("w", encoding="utf-8", newline="")
        self._writer = writer(self._file, lineterminator="\n")
        self._writer.writerow(COLUMNS)

    def add(self, rows: list[tuple[Any, ...]]) -> None:
        """Append rows; the text of a float32 is its shortest one."""
        self._writer.writerows(rows)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class Parquet:
    """Apache Parquet, by pyarrow, in groups of `GROUP` rows."""

    def __init__(self, path: Path) -> None:
        arrow, parquet = arrow_modules()
        text, whole, real = arrow.string(), arrow.int64(), arrow.float32()
        kinds = (text, text, whole, whole, whole, text, real, real, real, real, real, arrow.int32())
        self._arrow, self._schema = arrow, arrow.schema(list(zip(COLUMNS, kinds, strict=True)))
        self._writer = parquet.ParquetWriter(str(path), self._schema)
        self._rows: list[tuple[Any, ...]] = []

    def add(self, rows: list[tuple[Any, ...]]) -> None:
        """Append rows."""
        self._rows += rows
        while len(self._rows) >= GROUP:
            self._write(self._rows[:GROUP])
            del self._rows[:GROUP]

    def close(self) -> None:
        """Finish the file."""
        if self._rows:
            self._write(self._rows)
            self._rows = []
        self._writer.close()

    def _write(self, rows: list[tuple[Any, ...]]) -> None:
        columns = [list(column) for column in zip(*rows, strict=True)]
        arrays = [self._arrow.array(c, type=field.type) for c, field in zip(columns, self._schema, strict=True)]
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))


def arrow_modules() -> tuple[Any, Any]:
    """The modules pyarrow and pyarrow.parquet. Raises UsageError with what to install."""
    from importlib import import_module

    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise UsageError(
            "--format parquet needs pyarrow, which is not installed: pip install pyarrow; or write --format csv"
        ) from None


FORMS: dict[str, type[Csv] | type[Parquet]] = {"csv": Csv, "parquet": Parquet}


class Collect(Operator):
    """Takes everything that one recording's sources and networks give: results to the table, the rest to counts.

    `spans` is the sensor time covered, in us; `packets` and `results` count by port; `lost` counts events in gaps.
    """

    ordered = False  # in the order of computing: in one thread that is the same each time, and nothing waits

    def __init__(self) -> None:
        self.table: Table | None = None
        self.first_us: int | None = None
        self.last_us = 0
        self.events = self.frames = self.lost_events = self.rows = 0
        self.results: Counter[str] = Counter()
        self._gap: Mark | None = None

    def on_any(self, packet: Packet, origin: str) -> None:
        """Write a result's rows, count anything else. Raises RecorderError when a row cannot be written."""
        if isinstance(packet, Scores | Boxes):
            rows = _scores(packet, origin) if isinstance(packet, Scores) else _boxes(packet, origin)
            self.results[origin] += 1
            self.rows += len(rows)
            try:
                assert self.table is not None
                self.table.add(rows)
            except OSError as error:
                raise RecorderError(f"cannot write the table: {error.strerror}; free space, and call again") from None
            return
        self.first_us = packet.t0_us if self.first_us is None else min(self.first_us, packet.t0_us)
        self.last_us = max(self.last_us, packet.t1_us)
        if isinstance(packet, Events):
            self.events += len(packet)
        elif isinstance(packet, Frame):
            self.frames += 1

    def on_gap(self, gap: Mark) -> None:
        """Count what a source lost; it tells the same gap on each of its ports."""
        if gap is not self._gap:
            self._gap = gap
            self.lost_events += gap.events


def _scores(packet: Scores, origin: str) -> list[tuple[Any, ...]]:
    node, port = origin.split(".", 1)
    head = (node, port, packet.seq, packet.t0_us, packet.t1_us)
    none = (None,) * 5
    return [(*head, label, score, *none) for label, score in zip(packet.labels, packet.values, strict=True)]


def _boxes(packet: Boxes, origin: str) -> list[tuple[Any, ...]]:
    node, port = origin.split(".", 1)
    head = (node, port, packet.seq, packet.t0_us, packet.t1_us)
    columns = (packet.label, packet.score, packet.x, packet.y, packet.w, packet.h, packet.track)
    return [
        (*head, packet.labels[label], score, x, y, w, h, int(track))
        for label, score, x, y, w, h, track in zip(*columns, strict=True)
    ]

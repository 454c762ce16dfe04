"""numpy `.npz`: a column each of t, x, y, p, and width and height, not compressed, as `numpy.load` reads them.

Columns lie one after another in the archive, but come together: each waits in a nameless file of its own until its
length is known. That writes everything twice and takes twice the space for a while, but no more memory, and the headers
are those that numpy itself writes.
"""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from typing import IO, Any

import numpy as np

from sensors.formats.reader import EventChunk
from sensors.writers.writer import FileWriter, OutFile, full_disk

_KINDS = {"t": "<i8", "x": "<u2", "y": "<u2", "p": "|u1"}
_BLOCK = 2**20
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip archive can say


class NpzWriter(FileWriter):
    """Writes events, with times as they are."""

    format = "NPZ"

    def __init__(self, path: str | os.PathLike[str], width: int, height: int) -> None:
        super().__init__(path, width, height)
        self._file: OutFile | None = OutFile(self.path)
        self._count = 0
        self._columns: dict[str, IO[bytes]] = {}
        folder = os.path.dirname(os.path.abspath(self.path))
        try:
            for name in _KINDS:
                self._columns[name] = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 (closed by close)
        except OSError as error:
            raise full_disk(self.path, 0, error) from None

    def events(self, chunk: EventChunk) -> None:
        """Add events. Raises RecorderError for one outside the sensor."""
        self.check_inside(chunk.x, chunk.y)
        for (name, kind), column in zip(_KINDS.items(), chunk, strict=True):
            view = memoryview(np.ascontiguousarray(column, kind).data).cast("B")
            try:
                while view:
                    view = view[self._columns[name].write(view) :]
            except OSError as error:
                raise full_disk(self.path, self._columns[name].tell(), error) from None
        self._count += len(chunk.t)

    def close(self) -> None:
        """Put the archive together, and close it."""
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                for name, column in self._columns.items():
                    self._member(archive, name, _KINDS[name], (self._count,), column)
                for name, value in (("width", self.width), ("height", self.height)):
                    self._member(archive, name, "<i8", (), io.BytesIO(np.array(value, "<i8").tobytes()))
        finally:
            for column in self._columns.values():
                column.close()
            file.close()

    def _member(
        self, archive: zipfile.ZipFile, name: str, kind: str, shape: tuple[int, ...], content: IO[bytes]
    ) -> None:
        size = content.seek(0, 2)
        content.seek(0)
        info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
        info.create_system, info.external_attr = 3, 0o600 << 16
        with archive.open(info, "w", force_zip64=size >= 2**31) as member:
            header: dict[str, Any] = {"descr": kind, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(member, header)
            while block := content.read(_BLOCK):
                member.write(block)

"""Prophesee DAT, version 2: records of eight bytes; trigger edges go to a file of their own beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evpipe.errors import RecorderError
from sensors.formats.reader import EventChunk, TriggerChunk
from sensors.writers.writer import FileWriter, OutFile

CLOCK_US = 2**32
CHANNELS = 64
_EVENTS, _TRIGGERS = (12, "CD events"), (14, "external trigger events")


class DatWriter(FileWriter):
    """Writes events, and edges to `<stem>_trigger.dat` (`_td` and `_cd` are taken off the stem) once there are some.

    The clock has 32 bits; whole ranges before the first event are taken off every time, and said. Steps back in time
    are kept unless they cross a wrap, and counted.
    """

    format = "DAT"
    takes = frozenset({"events", "triggers"})
    max_side = 2**14

    def __init__(self, path: str | os.PathLike[str], width: int, height: int) -> None:
        super().__init__(path, width, height)
        self._parts = {"events": _Part(self.path, self._header(_EVENTS))}
        self._shift: int | None = None

    def events(self, chunk: EventChunk) -> None:
        """Add events. Raises RecorderError for one outside the sensor, and for a jump that 32 bits cannot show."""
        from sensors.kernels import dat_write

        self.check_inside(chunk.x, chunk.y)
        self._add("events", dat_write.events, chunk)

    def triggers(self, chunk: TriggerChunk) -> None:
        """Add signal edges; those of channels above 63 are left out and counted."""
        from sensors.kernels import dat_write

        chunk = self.numbered(chunk, CHANNELS)
        if not len(chunk.t):
            return
        if "triggers" not in self._parts:
            path = Path(self.path)
            stem = path.stem.removesuffix("_td").removesuffix("_cd")
            self.paths.append(str(path.with_name(f"{stem}_trigger.dat")))
            self._parts["triggers"] = _Part(self.paths[-1], self._header(_TRIGGERS))
        self._add("triggers", dat_write.edges, chunk)

    def close(self) -> None:
        """Close the files."""
        parts, self._parts = self._parts, {}
        for part in parts.values():
            part.file.close()
            self.note("records whose time stepped back across a wrap, written with the time before", part.held)
            self.note("steps back in time, written as they are: some readers take each for a wrap", part.back)

    def _add(self, name: str, kernel: Any, columns: EventChunk | TriggerChunk) -> None:
        if not len(columns.t):
            return
        if self._shift is None:
            self._shift = self.clock_shift(int(columns.t.min()), CLOCK_US)
        part = self._parts[name]
        records = np.empty((len(columns.t), 2), "<u4")
        done = kernel(*columns, part.state, self._shift, records)
        part.file.write(records[:done].data)
        if done < len(columns.t):
            raise RecorderError(
                f"{part.file.path}: time jumps to {int(columns.t[done])} us, further than DAT's clock of 32 bits can "
                "show. Cut the recording there with --from and --to, or choose another format."
            )

    def _header(self, kind: tuple[int, str]) -> bytes:
        lines = (f"Data file containing {kind[1]}", "Version 2", f"Height {self.height}", f"Width {self.width}", "end")
        return "".join(f"% {line}\n" for line in lines).encode() + bytes((kind[0], 8))


class _Part:
    """One of the files, and the state of its clock."""

    def __init__(self, path: str, header: bytes) -> None:
        from sensors.kernels import dat_write

        self._kernel = dat_write
        self.file = OutFile(path, header)
        self.state: NDArray[np.int64] = dat_write.new_state()

    @property
    def held(self) -> int:
        """Records whose time could not be kept."""
        return int(self.state[self._kernel.HELD])

    @property
    def back(self) -> int:
        """Steps back that were kept."""
        return int(self.state[self._kernel.BACK])

"""Writes what it is given, all of it: a session of every port to MCAP, or sensors' packets to AEDAT4.

Scores and boxes go to JSON lines beside it, `PATH.jsonl`, a line for each result. All hold sensor time only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TextIO

from evpipe.errors import RecorderError, UsageError
from evpipe.operator import Operator, Param
from evpipe.packets import Boxes, Mark, Packet, Scores
from evpipe.recorder.results import line

if TYPE_CHECKING:
    from evpipe.recorder.session_writer import SessionWriter

_ENDINGS = (".aedat4", ".jsonl", ".mcap")


class _Files(Protocol):
    """Where packets go besides the results."""

    def packet(self, packet: Packet, origin: str) -> None:
        """Write one packet of the port `node.port`."""

    def close(self) -> None:
        """Finish the files."""


class Recorder(Operator):
    """Records every port it is given.

    With a `path` that ends in `.mcap` all packets go to a session, `PATH.mcap`, which `evpipe run --replay` replays
    and which opens in Foxglove, the `mcap` tools and `rosbags`. It is readable up to the last second whatever happens.
    `rotate_us` and `rotate_bytes` begin a new file, `PATH_000.mcap`, `PATH_001.mcap`..., after this much sensor time or
    once one is this large; a seek begins the next file, too.

    With any other `path` (an ending `.aedat4` or `.jsonl` is taken off) the first source's packets go to `PATH.aedat4`,
    those of a further source to `PATH.NODE.aedat4`. Tensors and pairs are then refused: record the source's events and
    frames, from which a replay makes the same ones.

    An existing file is refused unless `force`. A `{n}` in the name becomes the first number from 1 that is free; its
    folder is made, and what is written is said. Raises UsageError for an existing file, RecorderError when something
    cannot be written.
    """

    sink = "recorder"

    def __init__(
        self,
        path: str,
        force: bool = False,
        rotate_us: Annotated[int | None, Param(unit="us", min=1)] = None,
        rotate_bytes: Annotated[int | None, Param(unit="B", min=1)] = None,
    ) -> None:
        faults = self.check_parameters(path, rotate_us, rotate_bytes)
        if faults:
            raise UsageError(f"{path}: {'; '.join(faults)}")
        self._stem = Path(path).with_suffix("") if Path(path).suffix in _ENDINGS else Path(path)
        self._session = Path(path).suffix == ".mcap"
        self._force, self._rotate_us, self._rotate_bytes = force, rotate_us, rotate_bytes
        self._results: TextIO | None = None
        self._files: _Files | None = None
        self._last_gap: Mark | None = None

    @staticmethod
    def check_parameters(
        path: str, rotate_us: int | None = None, rotate_bytes: int | None = None, **_: Any
    ) -> list[str]:
        """What is wrong with these values together; `evpipe check` shows it."""
        if (rotate_us or rotate_bytes) and Path(path).suffix != ".mcap":
            return ["only sessions begin new files by time or size; end `path` in .mcap, or leave rotate out"]
        return []

    def open(self) -> None:
        """Create the files, so that a folder that cannot be written is told before the run starts."""
        if "{n}" in self._stem.name:
            self._number()
        existing = list(self._existing())
        if existing and not self._force:
            raise UsageError(f"{existing[0]} exists; give another path, or --force (`force: true`) to overwrite it")
        for path in existing:
            path.unlink()
        try:
            self._results = self._path(".jsonl").open("w", encoding="utf-8", newline="\n")
        except OSError as error:
            raise RecorderError(
                f"cannot write {self._path('.jsonl')}: {error.strerror}; choose another folder"
            ) from None
        self._files = self._new_session() if self._session else self._new_aedat4()

    def on_any(self, packet: Packet, origin: str) -> None:
        """Write one packet."""
        assert self._results is not None
        assert self._files is not None
        if self._session or not isinstance(packet, Scores | Boxes):
            self._files.packet(packet, origin)
        if isinstance(packet, Scores | Boxes):
            try:
                self._results.write(line(packet, origin))
            except OSError as error:
                raise self._lost(error) from None

    def on_gap(self, gap: Mark) -> None:
        """Keep that packets are missing, once, however many ports tell of it."""
        if self._session and self._files is not None and gap != self._last_gap:
            self._files.packet(gap, f"{self.context.node or 'recorder'}.mark")
            self._last_gap = gap

    def on_end(self) -> None:
        """Finish the files; a full disk is told here at the latest. After a seek results may follow."""
        if self._files is not None:
            self._files.close()
        if self._results is not None and not self._results.closed:
            try:
                self._results.flush()
            except OSError as error:
                raise self._lost(error) from None

    def close(self) -> None:
        """Finish what a failed run left open, as far as it goes."""
        try:
            self.on_end()
        finally:
            if self._results is not None:
                with suppress(OSError):  # told by on_end
                    self._results.close()

    def _lost(self, error: OSError) -> RecorderError:
        return RecorderError(
            f"cannot write {self._path('.jsonl')}: {error.strerror}; the lines before stay readable. Free space, or "
            "record to another disk"
        )

    def _new_session(self) -> SessionWriter:
        from evpipe.recorder.session_writer import SessionWriter

        return SessionWriter(self._stem, self.context.about, self._rotate_bytes, self._rotate_us)

    def _new_aedat4(self) -> _Files:
        from evpipe.recorder.aedat4_files import Aedat4Files

        return Aedat4Files(self._stem, self._force)

    def _existing(self) -> Iterator[Path]:
        """Files of this name that are there already."""
        from evpipe.recorder.session_writer import files_of

        endings = (".jsonl",) if self._session else (".jsonl", ".aedat4")
        yield from (path for ending in endings if (path := self._path(ending)).exists())
        if self._session:
            yield from files_of(self._stem)

    def _number(self) -> None:
        """The first name that is free, and the folder it stands in."""
        pattern, folder = self._stem.name, self._stem.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecorderError(f"cannot make the folder {folder}: {error.strerror}; choose another") from None
        for n in count(1):
            self._stem = folder / pattern.replace("{n}", str(n))
            if not any(self._existing()):
                break
        written = self._path(".mcap" if self._session else ".aedat4")
        self.context.say(f"recording to {written} and {self._path('.jsonl')}")

    def _path(self, ending: str) -> Path:
        return self._stem.with_name(self._stem.name + ending)

"""Writes what it is given, all of it: events, frames, IMU and triggers to AEDAT4, scores and boxes to JSON lines.

`PATH.aedat4` opens in `evpipe run --replay`; `PATH.jsonl` has a line for each result. Both hold sensor time only.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from evpipe.errors import RecorderError, UsageError
from evpipe.operator import Operator
from evpipe.packets import Boxes, Events, Frame, FramePair, Imu, Packet, Scores, Tensor, Triggers
from evpipe.recorder.results import line

if TYPE_CHECKING:
    from evpipe.recorder.aedat4 import Aedat4Writer

_NOT_RECORDED = {
    Tensor: "tensors are not recorded; record the events they were made from",
    FramePair: "pairs are not recorded, since they do not say how long a picture was exposed; record the source's "
    "events and frames instead (camera.events, camera.frame): a replay makes the same pairs of them",
}


class Recorder(Operator):
    """Records every port it is given.

    `path` is the recording's stem (an ending `.aedat4` or `.jsonl` is taken off). The first source's packets go to
    `PATH.aedat4`, those of a further source to `PATH.NODE.aedat4`. An existing file is refused unless `force`. A `{n}`
    in the name becomes the first number from 1 that is free; its folder is made, and what is written is said.

    Tensors and pairs are made of what the source gave and are not recorded: record its events and frames instead, from
    which a replay makes the same ones. Raises UsageError for these and for an existing file, RecorderError when
    something cannot be written.
    """

    sink = "recorder"

    def __init__(self, path: str, force: bool = False) -> None:
        stem = Path(path)
        self._stem = stem.with_suffix("") if stem.suffix in (".aedat4", ".jsonl") else stem
        self._force = force
        self._results: TextIO | None = None
        self._streams: dict[str, Aedat4Writer] = {}

    def open(self) -> None:
        """Create the results file, so that a folder that cannot be written is told before the run starts."""
        if "{n}" in self._stem.name:
            self._number()
        existing = [p for p in (self._path(".jsonl"), self._path(".aedat4")) if p.exists()]
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

    def on_any(self, packet: Packet, origin: str) -> None:
        """Write one packet."""
        if not isinstance(packet, Scores | Boxes):
            self._sensor(packet, origin)
            return
        assert self._results is not None
        try:
            self._results.write(line(packet, origin))
        except OSError as error:
            raise self._lost(error) from None

    def on_end(self) -> None:
        """Finish the files; a full disk is told here at the latest."""
        for stream in self._streams.values():
            stream.close()
        if self._results is not None:
            try:
                self._results.close()
            except OSError as error:
                raise self._lost(error) from None

    def close(self) -> None:
        """Finish what a failed run left open, as far as it goes."""
        self.on_end()

    def _lost(self, error: OSError) -> RecorderError:
        return RecorderError(
            f"cannot write {self._path('.jsonl')}: {error.strerror}; the lines before stay readable. Free space, or "
            "record to another disk"
        )

    def _sensor(self, packet: Packet, origin: str) -> None:
        if isinstance(packet, Tensor | FramePair):
            raise RecorderError(f"{origin}: {_NOT_RECORDED[type(packet)]}")
        node = origin.split(".", 1)[0]
        stream = self._streams.get(node) or self._new_stream(node)
        if isinstance(packet, Events):
            stream.events(packet.t, packet.x, packet.y, packet.p, size=(packet.width, packet.height))
        elif isinstance(packet, Frame):
            stream.frame(packet.t0_us, packet.t1_us, packet.image)
        elif isinstance(packet, Imu):
            stream.imu(packet.t, packet.accel, packet.gyro)
        elif isinstance(packet, Triggers):
            stream.triggers(packet.t, packet.channel, packet.value)

    def _new_stream(self, node: str) -> Aedat4Writer:
        from evpipe.recorder.aedat4 import Aedat4Writer

        path = self._path(f".{node}.aedat4" if self._streams else ".aedat4")
        if path.exists() and not self._force:
            raise UsageError(f"{path} exists; give another path, or --force (`force: true`) to overwrite it")
        self._streams[node] = Aedat4Writer(path)
        return self._streams[node]

    def _number(self) -> None:
        """The first name that is free, and the folder it stands in."""
        pattern, folder = self._stem.name, self._stem.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecorderError(f"cannot make the folder {folder}: {error.strerror}; choose another") from None
        for n in count(1):
            self._stem = folder / pattern.replace("{n}", str(n))
            if not any(self._path(ending).exists() for ending in (".jsonl", ".aedat4")):
                break
        self.context.say(f"recording to {self._path('.aedat4')} and {self._path('.jsonl')}")

    def _path(self, ending: str) -> Path:
        return self._stem.with_name(self._stem.name + ending)

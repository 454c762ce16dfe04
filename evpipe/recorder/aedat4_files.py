"""What sources give as AEDAT4: `PATH.aedat4` for the first source, `PATH.NODE.aedat4` for each further one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evpipe.errors import RecorderError, UsageError
from evpipe.packets import Events, Frame, FramePair, Imu, Packet, Tensor, Triggers

if TYPE_CHECKING:
    from sensors.writers.aedat4 import Aedat4Writer

_REFUSED = {
    Tensor: "tensors are not recorded; record the events they were made from, or all of it as a session (.mcap)",
    FramePair: "pairs are not recorded, since they do not say how long a picture was exposed; record the source's "
    "events and frames instead (camera.events, camera.frame): a replay makes the same pairs of them. A session (.mcap) "
    "holds pairs, too",
}


class Aedat4Files:
    """The files of one recording; each is created when its source's first packet comes."""

    def __init__(self, stem: Path, force: bool) -> None:
        self._stem, self._force = stem, force
        self._streams: dict[str, Aedat4Writer] = {}
        self._finished = False

    def packet(self, packet: Packet, origin: str) -> None:
        """Write one packet. Raises RecorderError for tensors and pairs, UsageError for a file that exists."""
        if isinstance(packet, Tensor | FramePair):
            raise RecorderError(f"{origin}: {_REFUSED[type(packet)]}")
        if self._finished:
            raise RecorderError(
                f"{origin}: AEDAT4 cannot go on after its source ended and was sought back; record to a session, with "
                "a path that ends in .mcap"
            )
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

    def close(self) -> None:
        """Finish the files; a full disk is told here at the latest."""
        self._finished = True
        for stream in self._streams.values():
            stream.close()

    def _new_stream(self, node: str) -> Aedat4Writer:
        from sensors.writers.aedat4 import Aedat4Writer

        path = self._stem.with_name(self._stem.name + (f".{node}.aedat4" if self._streams else ".aedat4"))
        if path.exists() and not self._force:
            raise UsageError(f"{path} exists; give another path, or --force (`force: true`) to overwrite it")
        self._streams[node] = Aedat4Writer(path)
        return self._streams[node]

"""Writes sessions: any ports of a graph to MCAP files, one topic a port, chunks closed by sensor time and by size.

Equal packets in equal order give equal bytes: no host time, no machine's name, and chunks that depend on content alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from evpipe.packets import Packet
from evpipe.recorder.mcap_file import McapFile
from evpipe.recorder.messages import definition, encode, type_of

LIBRARY = "evpipe"
FORM = "1"
"""The version of the form of sessions."""

CHUNK_US = 500_000
"""Sensor time after which a chunk is closed: what a killed recorder loses at most, with one packet more."""

CHUNK_BYTES = 2**22


class SessionWriter:
    """One session: `PATH.mcap`, or with a limit `PATH_000.mcap`, `PATH_001.mcap`..., each a whole file of its own.

    A file holds one run of time: after a seek or a loop (another epoch) the next file begins. With `rotate_bytes` a
    file ends after the chunk that reaches it, with `rotate_us` before the packet that ends this much sensor time after
    the file's first. Methods raise RecorderError when a packet cannot be kept.
    """

    def __init__(
        self,
        stem: Path,
        about: Mapping[str, str] | None = None,
        rotate_bytes: int | None = None,
        rotate_us: int | None = None,
    ) -> None:
        """Create the first file, which must not exist. `about`: texts about the run; `graph` is attached as a file."""
        self._stem, self._about = stem, dict(about or {})
        self._rotate_bytes, self._rotate_us = rotate_bytes, rotate_us
        self._number = 0
        self._epoch: int | None = None
        self._first_us: int | None
        self._last_us: int | None
        self._chunk_us: int | None
        self._begin(numbered=bool(rotate_bytes or rotate_us))

    @property
    def path(self) -> str:
        """The file that is being written."""
        return self._file.path

    def packet(self, packet: Packet, origin: str) -> None:
        """Add a packet of the port `node.port`."""
        self._turn_over(packet)
        node = origin.split(".", 1)[0]
        log_ns, publish_ns = (max(0, t_us) * 1000 for t_us in (packet.t1_us, packet.t0_us))
        messages = list(encode(packet, node))
        channel = self._channels.get(origin) or self._declare(packet, origin)
        for parts in messages:
            self._file.message(channel, packet.seq, log_ns, publish_ns, parts)
        # After a long silence nobody knows when the next packet comes, so this one does not wait for it.
        rare = self._last_us is None or packet.t1_us - self._last_us >= CHUNK_US
        self._last_us = packet.t1_us
        if rare or self._file.chunk_bytes >= CHUNK_BYTES:
            self._end_chunk()

    def close(self) -> None:
        """Finish the file. After a failure it is left readable as it is."""
        self._file.close()

    def _begin(self, *, numbered: bool) -> None:
        name = f"{self._stem.name}_{self._number:03}.mcap" if numbered else f"{self._stem.name}.mcap"
        self._file = McapFile(str(self._stem.with_name(name)), profile="ros2", library=LIBRARY)
        self._number += 1
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}
        self._first_us = self._last_us = self._chunk_us = None
        texts = {key: text for key, text in self._about.items() if key != "graph"}
        self._file.metadata("evpipe", {"form": FORM} | texts)
        if "graph" in self._about:
            self._file.attachment("graph.yaml", "application/yaml", self._about["graph"].encode())

    def _turn_over(self, packet: Packet) -> None:
        """Before this packet: close the chunk when its time is up, and begin another file when it is due."""
        t1_us = packet.t1_us
        if self._chunk_us is not None and t1_us - self._chunk_us >= CHUNK_US:
            self._end_chunk()
        big = self._rotate_bytes is not None and self._file.at >= self._rotate_bytes and not self._file.waiting
        long = self._rotate_us is not None and self._first_us is not None and t1_us - self._first_us >= self._rotate_us
        if self._epoch not in (None, packet.epoch) or (self._first_us is not None and (big or long)):
            self._file.close()
            self._begin(numbered=True)
        self._epoch = packet.epoch
        self._first_us = t1_us if self._first_us is None else self._first_us
        self._chunk_us = t1_us if self._chunk_us is None else self._chunk_us

    def _end_chunk(self) -> None:
        self._file.end_chunk()
        self._chunk_us = None

    def _declare(self, packet: Packet, origin: str) -> int:
        node, port = origin.split(".", 1)
        name = type_of(packet)
        if name not in self._schemas:
            self._schemas[name] = self._file.schema(name, "ros2msg", definition(name).encode())
        about = {"node": node, "port": port}
        if (width := getattr(packet, "width", None)) is not None:
            about |= {"width": str(width), "height": str(getattr(packet, "height", 0))}
        self._channels[origin] = self._file.channel(f"/{node}/{port}", self._schemas[name], "cdr", about)
        return self._channels[origin]


def files_of(stem: Path) -> list[Path]:
    """The files that a session of this stem has left: `STEM.mcap`, and `STEM_000.mcap` and so on."""
    named = re.compile(re.escape(stem.name) + r"(_\d{3,})?\.mcap")
    if not stem.parent.is_dir():
        return []
    return sorted(path for path in stem.parent.iterdir() if named.fullmatch(path.name))

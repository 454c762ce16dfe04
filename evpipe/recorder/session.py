"""`Session`: one node of a recorded session as a source, which gives that node's packets again as they were.

So a recording can stand in for any node of a graph, its classifier as well as its camera.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from evpipe.errors import InputError, UsageError
from evpipe.operator import Param, Source
from evpipe.packets import Boxes, Events, Frame, FramePair, Imu, Mark, Packet, Scores, Tensor, Triggers, port_name
from evpipe.recorder.session_file import SENSOR_PORTS, SessionFile, is_session


class Session(Source):
    """The packets of one node of a session (`evpipe run --record NAME.mcap`), each as it was recorded.

    `node`: whose packets; left out, or not in the file, it is the file's only source. `from_us` and `to_us` count from
    the first event of the file; packets that reach into the range are given whole. Gaps that the recorder was told of
    are given with the packets of the file's only source. Ports that are not named by their kind cannot be given.

    Positions of all nodes count from `zero_us`, the file's first event, so that several of them keep together.

    `stream` gives everything readable first, and then raises InputError if the file is cut or damaged.
    """

    can_seek = True

    def __init__(
        self,
        path: str,
        node: str = "",
        from_us: Annotated[int, Param(unit="us", min=0)] = 0,
        to_us: Annotated[int | None, Param(unit="us", min=1)] = None,
    ) -> None:
        faults = self.check_parameters(from_us, to_us)
        if faults:
            raise UsageError(f"{path}: {'; '.join(faults)}")
        self.path, self.node, self.from_us, self.to_us = path, node, from_us, to_us
        self.zero_us: int | None = None
        self._file: SessionFile | None = None

    @staticmethod
    def check_parameters(from_us: int, to_us: int | None, **_: Any) -> list[str]:
        """What is wrong with these values together; `evpipe check` shows it."""
        if to_us is not None and to_us <= from_us:
            return [f"to ({to_us} us) must be later than from ({from_us} us); give another range"]
        return []

    @staticmethod
    def holds(path: str) -> bool:
        """Whether a file is a session, by its first bytes."""
        return is_session(path)

    def open(self) -> None:
        """Find the node. Raises InputError when the file is no session or has no such node."""
        self._file = file = SessionFile(self.path)
        self.zero_us = _first_us(file)
        if self.node in file.ports and self._ports(self.node):
            return
        ports = {node: self._ports(node) for node in file.ports}
        if len(file.sensors) != 1 or not ports[file.sensors[0]]:
            self.close()
            has = "; ".join(f"{node}: {', '.join(names)}" for node, names in ports.items() if names) or "nothing"
            raise InputError(
                f"{self.path}: has no packets of node {self.node!r} that can be replayed; it has {has}. Name one of "
                "these: `node: NAME`, or `--set NODE.node=NAME`."
            )
        if self.node:
            self.context.say(f"{self.path} has no node '{self.node}': its source '{file.sensors[0]}' is replayed")
        self.node = file.sensors[0]

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def seek(self, t_us: int) -> None:
        """The next `stream` begins `t_us` after the first event."""
        self.from_us = t_us

    def ports(self) -> list[str] | None:
        """The ports that the node was recorded from."""
        return None if self._file is None else self._ports(self.node)

    def stream(self) -> Iterator[Events | Frame | FramePair | Triggers | Imu | Tensor | Scores | Boxes]:
        """The packets. Raises InputError after the last one when the file is cut or damaged."""
        file = self._file
        assert file is not None, "stream() before open()"
        start, stop = self._bounds()
        ports, marks = set(self._ports(self.node)), self._mark_nodes(file)
        for node, port, packet, _ in file.packets(frozenset({self.node}) | marks, start):
            if stop is not None and packet.t1_us > stop:
                break
            if port in ports or (node in marks and isinstance(packet, Mark) and packet.kind == "gap"):
                yield packet  # type: ignore[misc]  # marks go in band
        for what, count in file.account.notes.items():
            self.context.say(f"{self.path}: {count} {what}")
        if damage := file.account.damage:
            more = f", and {len(damage) - 1} more damaged places" if len(damage) > 1 else ""
            raise InputError(
                f"{self.path}: damaged at byte {damage[0].offset}: {damage[0].what}{more}. All whole chunks were "
                f"replayed; `evpipe recover {self.path}` makes a whole file of them."
            )

    def _ports(self, node: str) -> list[str]:
        """Ports of a node that a source can have: those named by their kind."""
        assert self._file is not None
        kinds = self._file.ports[node].items()
        return [port for port, kind in kinds if port == port_name(kind) and kind is not Mark]

    def _mark_nodes(self, file: SessionFile) -> frozenset[str]:
        """Recorders under whose name gaps stand; none where it is not sure whose gaps they are."""
        if file.sensors != [self.node] or not set(self._ports(self.node)) & set(SENSOR_PORTS):
            return frozenset()
        return frozenset(node for node, ports in file.ports.items() if set(ports) == {port_name(Mark)})

    def _bounds(self) -> tuple[int | None, int | None]:
        """The range asked for in absolute sensor time; None where it is open."""
        if not self.from_us and self.to_us is None:
            return None, None
        first = self.zero_us or 0
        return first + self.from_us if self.from_us else None, None if self.to_us is None else first + self.to_us


def _first_us(file: SessionFile) -> int:
    """Time of the first event; in a file without events, the begin of the first packet."""
    nodes = frozenset(node for node in file.sensors if Events in file.ports[node].values()) or frozenset(file.ports)
    first: Packet | None = None
    for _, _, packet, _ in file.packets(nodes):
        first = first or packet
        if isinstance(packet, Events) and len(packet):
            return int(packet.t[0])
    return first.t0_us if first is not None else 0

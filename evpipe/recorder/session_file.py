"""Reads sessions: which nodes and ports a file holds, and their packets again, from any time on.

A file that was cut gives every whole chunk; what is missing or damaged goes to an account.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from evpipe.errors import InputError
from evpipe.packets import Events, Packet
from evpipe.recorder.cdr import CdrError
from evpipe.recorder.mcap_file import MAGIC
from evpipe.recorder.mcap_scan import McapScan, Message
from evpipe.recorder.messages import KIND_OF, decode, joined
from evpipe.recorder.session_writer import LIBRARY
from sensors.formats.reader import Account

SENSOR_PORTS = ("events", "frame", "imu", "triggers")


class Recorded(NamedTuple):
    """A packet and the `node`, `port` that it was recorded from; `offset` is the byte of its chunk."""

    node: str
    port: str
    packet: Packet
    offset: int


class SessionFile:
    """One session that is open. `ports`: for each node, in order of the file, its ports with their kinds of packet.

    `account` tells what the last pass over the packets could not give.
    """

    def __init__(self, path: str) -> None:
        """Raises InputError when the file cannot be read or is no session of evpipe."""
        self.path = path
        self.scan = McapScan(path)
        self.account = Account()
        self.left_out: Counter[str] = Counter()
        """Messages of other nodes in the last pass, by topic."""
        self.ports: dict[str, dict[str, type[Packet]]] = {}
        try:
            if self.scan.library != LIBRARY:
                said = f"written by {self.scan.library[:40]!r}" if self.scan.library else "without a writer's name"
                raise InputError(f"{path}: is an MCAP file {said}, no session that evpipe recorded. Name another.")
            for channel in self.scan.channels.values():
                kind = KIND_OF.get(self._type(channel.schema))
                node, port = channel.about.get("node", ""), channel.about.get("port", "")
                if kind is not None and node:
                    self.ports.setdefault(node, {})[port] = kind
        except InputError:
            self.scan.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self.scan.close()

    @property
    def sensors(self) -> list[str]:
        """Nodes with events, frames, IMU samples or triggers under the names that sources give them."""
        return [node for node, ports in self.ports.items() if set(ports) & set(SENSOR_PORTS)]

    def packets(self, nodes: frozenset[str], from_us: int | None = None) -> Iterator[Recorded]:
        """Packets of these nodes in order of the file, those that end after `from_us` (absolute). Begins `account`."""
        self.account = account = Account()
        self.left_out.clear()
        for damage in self.scan.damage.damage:
            account.lost(damage.offset, damage.what)
        return self._pass(account, nodes, from_us)

    def _pass(self, account: Account, nodes: frozenset[str], from_us: int | None) -> Iterator[Recorded]:
        begin_ns = 0 if from_us is None else max(0, from_us) * 1000
        for messages in self.scan.messages(account, begin_ns):
            for found in self._decoded(messages, nodes):
                if from_us is None or found.packet.t1_us > from_us:
                    yield found

    def _decoded(self, messages: list[Message], nodes: frozenset[str]) -> Iterator[Recorded]:
        """Packets of one chunk; events that took several messages, which follow each other, are one packet again."""
        held: Recorded | None = None
        before: Message | None = None
        for message in messages:
            found = self._packet(message, nodes)
            if found is None:
                continue
            if held is not None and before is not None and _same_packet(before, message):
                parts = held.packet, found.packet
                if isinstance(parts[0], Events) and isinstance(parts[1], Events):
                    held = held._replace(packet=joined(parts[0], parts[1]))
                    continue
            if held is not None:
                yield held
            held, before = found, message
        if held is not None:
            yield held

    def _packet(self, message: Message, nodes: frozenset[str]) -> Recorded | None:
        channel = self.scan.channels.get(message.channel)
        if channel is None:
            self.account.lost(message.offset, f"a message belongs to topic {message.channel}, which is not declared")
            return None
        node, port = channel.about.get("node", ""), channel.about.get("port", "")
        name = self._type(channel.schema)
        if name not in KIND_OF:
            self.account.note(f"messages of other types, not read: {channel.topic[:60]}", 1)
            return None
        if node not in nodes:
            self.left_out[channel.topic] += 1
            return None
        try:
            packet = decode(name, message.data, message.sequence, message.log_ns, message.publish_ns)
        except CdrError as error:
            self.account.lost(message.offset, f"a message of {channel.topic[:60]} {error}; it was left out")
            return None
        return Recorded(node, port, packet, message.offset)

    def _type(self, schema: int) -> str:
        found = self.scan.schemas.get(schema)
        return found.name if found is not None else ""


def is_session(path: str) -> bool:
    """Whether a file begins as evpipe's sessions do; False also when it cannot be read."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
    except OSError:
        return False
    library = LIBRARY.encode()
    return head.startswith(MAGIC) and library == head[len(MAGIC) + 9 :][8 + 4 :][: len(library)]


def _same_packet(before: Message, message: Message) -> bool:
    keys = ("channel", "sequence", "log_ns", "publish_ns")
    return all(getattr(before, key) == getattr(message, key) for key in keys)

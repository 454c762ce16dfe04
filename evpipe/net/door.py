"""Who may connect over tcp, and a count of those who may not, with where they came from.

ZeroMQ asks here for every connection that begins a handshake (ZAP, rfc.zeromq.org/spec/27); one whose bytes are no
handshake at all is cut off by ZeroMQ itself and shows in the socket's monitor.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Collection
from typing import Any

import zmq
from zmq.utils import z85
from zmq.utils.monitor import recv_monitor_message

from evpipe.errors import UsageError

_ZAP = "inproc://zeromq.zap.01"
_CUT = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL


class Door:
    """Answers ZeroMQ's questions for one context, and reads the monitor of its listening socket.

    `keys`: public keys (Z85) of those let in; None: no keys, which only loopback may do. Start it before the bind.
    """

    def __init__(self, context: zmq.Context[Any], listening: zmq.Socket[bytes], keys: Collection[bytes] | None) -> None:
        self._keys = None if keys is None else frozenset(z85.decode(key) for key in keys)
        self.questions = context.socket(zmq.REP)
        self.questions.bind(_ZAP)
        listening.setsockopt(zmq.ZAP_DOMAIN, b"evpipe")
        self.events = listening.get_monitor_socket(_CUT)
        self.refused: Counter[str] = Counter()
        self.news: list[str] = []

    def answer(self) -> None:
        """Answer the question that has arrived."""
        version, request, _, address, _, mechanism, *credentials = self.questions.recv_multipart()
        right = self._keys is None or (mechanism == b"CURVE" and credentials and credentials[0] in self._keys)
        if not right:
            shown = z85.encode(credentials[0]).decode() if mechanism == b"CURVE" and credentials else "none"
            self._refuse(f"{address.decode('ascii', 'replace')}: its key is not allowed ({shown})", "key")
        code, text = (b"200", b"OK") if right else (b"400", b"not allowed")
        self.questions.send_multipart([version, request, code, text, b"", b""])

    def hear(self) -> None:
        """Count connections that ZeroMQ cut off because their bytes were no handshake."""
        while self.events.poll(0):
            message: Any = recv_monitor_message(self.events)
            self._refuse(f"{message['endpoint'].decode()}: a connection spoke no handshake of ours", "handshake")

    def _refuse(self, text: str, reason: str) -> None:
        self.refused[reason] += 1
        if self.refused[reason] <= 10:
            self.news.append(f"refused: {text}")
        elif self.refused[reason] == 11:
            self.news.append(f"refused: more than 10 for the same reason ({reason}); the rest is only counted")

    def close(self) -> None:
        """Close both sockets."""
        self.questions.close(0)
        self.events.close(0)


def check_address(address: str, has_keys: bool) -> None:
    """Raise UsageError for an address that is no tcp://IP:PORT, or one beyond loopback without keys."""
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    if not address.startswith("tcp://") or not port.isdigit() or not host:
        raise UsageError(f"{address}: expected tcp://HOST:PORT, such as tcp://127.0.0.1:5601")
    if not has_keys and not is_loopback(host):
        raise UsageError(
            f"{address}: reaches beyond this machine, which needs keys: `evpipe keys new` here and there, exchange the "
            "public ones, and set 'keys'. Or use tcp://127.0.0.1."
        )


def is_loopback(host: str) -> bool:
    """Whether a host's name or number means this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False

"""`Publish`: sends the packets of this graph's ports to graphs on other machines, each at its own pace."""

from __future__ import annotations

import threading
from typing import Annotated

from evpipe.link.policy import PolicyKind
from evpipe.net.server import Server
from evpipe.operator import Operator, Param
from evpipe.packets import Packet


class Publish(Operator):
    """Listens at `bind` and sends what it gets to every subscriber.

    Beyond loopback `keys` names one's own pair (`evpipe keys new`), and only owners of allowed keys get in. A
    subscriber that cannot follow loses packets by `policy` (counted and told to it), and never holds up this graph or
    another subscriber. At most `clients` at a time.
    """

    heavy = True

    def __init__(
        self,
        bind: str = "tcp://127.0.0.1:5601",
        keys: str = "",
        policy: PolicyKind = "keep_up",
        max_age_us: Annotated[int, Param(unit="us", min=1)] = 200_000,
        clients: Annotated[int, Param(min=1, max=256)] = 16,
    ) -> None:
        self._server = Server(bind, keys, policy, max_age_us, clients)
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Listen. Raises UsageError when the keys are missing or the address cannot be had."""
        self._server.say = self.context.say
        self._server.open(live=self.context.clock == "live")
        self._thread = threading.Thread(target=self._server.serve, name="evpipe-publish", daemon=True)
        self._thread.start()

    def on_any(self, packet: Packet, origin: str) -> None:
        """Send one on."""
        self._server.publish(packet)

    def on_end(self) -> None:
        """Subscribers are told that nothing follows."""
        self._server.end()

    def close(self) -> None:
        """Let what waits go out for a moment, then close."""
        self._server.close()
        if self._thread is not None:
            self._thread.join()

"""Sockets between workers: abstract `ipc` within a host, `tcp` on loopback with keys of the run's own elsewhere.

Abstract sockets have no file to leave behind and no permissions: a per-run token, given through an inherited pipe,
tells our own messages from a stranger's.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Literal

import msgspec
import zmq

LinkKind = Literal["shm", "tcp"]


class Keys(msgspec.Struct, frozen=True):
    """CURVE keys of one run (Z85 text): the workers share one pair, so only they can speak to each other."""

    public: bytes
    secret: bytes


def default_kind() -> LinkKind:
    """`shm` where the system has memfd and abstract sockets; EVPIPE_LINK=tcp asks for the other."""
    asked = os.environ.get("EVPIPE_LINK", "")
    if asked in ("shm", "tcp"):
        return "tcp" if asked == "tcp" else "shm"
    return "shm" if sys.platform == "linux" and hasattr(os, "memfd_create") and zmq.has("ipc") else "tcp"


def new_keys() -> Keys:
    """A fresh pair of keys."""
    return Keys(*zmq.curve_keypair())


def bind(context: zmq.Context[Any], kind: LinkKind, name: str, keys: Keys | None) -> tuple[Any, str]:
    """A bound ROUTER socket of a producing worker, and the address that consumers connect to."""
    socket = context.socket(zmq.ROUTER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, 0)  # our credits bound what waits; a high-water mark would drop in silence
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    if kind == "shm":
        address = f"ipc://@{name}"
        socket.bind(address)
        return socket, address
    if keys is not None:
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    return socket, f"tcp://127.0.0.1:{port}"


def connect(context: zmq.Context[Any], address: str, identity: bytes, keys: Keys | None) -> Any:
    """A DEALER socket of a consuming worker, which introduces itself as `identity`."""
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 1000)  # ms; the last acknowledgement must leave
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.setsockopt(zmq.IDENTITY, identity)
    if keys is not None and address.startswith("tcp"):
        socket.setsockopt(zmq.CURVE_SERVERKEY, keys.public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
    socket.connect(address)
    return socket

"""Messages over a pipe between evpipe and a vendor's library in a process of its own.

A message is 8 bytes of head, a kind (one letter) and the length of its body (uint32, little-endian), and the body.
"""

from __future__ import annotations

import os
import select
import struct
from typing import NamedTuple

HEAD = struct.Struct("<cxxxI")
MAX_BODY_BYTES = 2**27
READ_BYTES = 2**20

HELLO = b"H"  # JSON: serial, width, height, triggers
LIST = b"L"  # JSON: a list of cameras
EVENTS = b"C"  # records of the vendor's EventCD
TRIGGERS = b"T"  # records of the vendor's EventExtTrigger
TIME = b"Q"  # JSON: the camera's clock in us
LOST = b"D"  # JSON: how many buffers were dropped since the last message
REFUSED = b"R"  # text: a setting was refused
SET = b"A"  # text: a setting was taken
FAILED = b"E"  # text: nothing follows


class Message(NamedTuple):
    """One message."""

    kind: bytes
    body: bytes


class EndOfMessagesError(Exception):
    """The other side closed the pipe, or what it sends are no messages."""


def packed(kind: bytes, body: bytes) -> bytes:
    """A message as bytes."""
    return HEAD.pack(kind, len(body)) + body


class Inbox:
    """Reads messages from a descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._data = bytearray()

    def take(self, timeout_s: float) -> list[Message]:
        """The whole messages that came within the time. Raises EndOfMessagesError when there will be no more."""
        ready, _, _ = select.select([self._descriptor], [], [], timeout_s)
        if ready:
            part = os.read(self._descriptor, READ_BYTES)
            if not part:
                raise EndOfMessagesError("the other side closed the pipe")
            self._data += part
        return self._whole()

    def _whole(self) -> list[Message]:
        messages, at = [], 0
        while at + HEAD.size <= len(self._data):
            kind, size = HEAD.unpack_from(self._data, at)
            if size > MAX_BODY_BYTES:
                raise EndOfMessagesError(f"a message says it has {size} bytes; at most {MAX_BODY_BYTES} are taken")
            end = at + HEAD.size + size
            if end > len(self._data):
                break
            messages.append(Message(kind, bytes(self._data[at + HEAD.size : end])))
            at = end
        del self._data[:at]
        return messages

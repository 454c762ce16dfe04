"""Fields of ROS 2 messages as bytes (CDR, little endian): numbers aligned to their size, arrays after their length."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEAD = b"\x00\x01\x00\x00"


class CdrError(ValueError):
    """Bytes that are no such message, with the reason."""


class CdrWriter:
    """Puts one field after another into `data`."""

    def __init__(self) -> None:
        self.data = bytearray(_HEAD)

    def number(self, kind: str, value: float) -> None:
        """A number, by its struct code."""
        self._align(struct.calcsize("<" + kind))
        self.data += struct.pack("<" + kind, value)

    def text(self, text: str) -> None:
        """A string, which must hold no NUL."""
        data = text.encode() + b"\x00"
        self.number("I", len(data))
        self.data += data

    def texts(self, texts: Sequence[str]) -> None:
        """A list of strings."""
        self.number("I", len(texts))
        for text in texts:
            self.text(text)

    def array(self, array: NDArray[Any]) -> None:
        """All elements of an array in order of its last axis, with their number."""
        self.number("I", array.size)
        if array.size:
            self._align(array.itemsize)
            self.data += np.ascontiguousarray(array).data.cast("B")

    def _align(self, size: int) -> None:
        self.data += bytes(-(len(self.data) - len(_HEAD)) % size)


class CdrReader:
    """Takes one field after another; raises CdrError rather than take more than there is."""

    def __init__(self, data: memoryview) -> None:
        if bytes(data[: len(_HEAD)]) != _HEAD:
            raise CdrError(f"begins with {bytes(data[:4]).hex(' ')}, which no little-endian CDR message does")
        self._data, self._at = data, len(_HEAD)

    def number(self, kind: str) -> Any:
        """The number of this struct code that comes next."""
        self._align(struct.calcsize("<" + kind))
        (value,) = struct.unpack("<" + kind, self.part(struct.calcsize("<" + kind)))
        return value

    def text(self) -> str:
        """The string that comes next."""
        return bytes(self.part(self.number("I"))).removesuffix(b"\x00").decode("utf-8", "replace")

    def texts(self) -> tuple[str, ...]:
        """The list of strings that comes next; each takes five bytes at least."""
        count = self.number("I")
        if 5 * count > len(self._data) - self._at:
            raise CdrError(f"says {count} texts in {len(self._data) - self._at} bytes")
        return tuple(self.text() for _ in range(count))

    def array(self, dtype: str) -> NDArray[Any]:
        """A copy of the array that comes next, one-dimensional."""
        count, kind = self.number("I"), np.dtype(dtype)
        if count:
            self._align(kind.itemsize)
        return np.frombuffer(self.part(count * kind.itemsize), kind).copy()

    def part(self, size: int) -> memoryview:
        """The next bytes."""
        if size > len(self._data) - self._at:
            raise CdrError(f"says {size} bytes and has {len(self._data) - self._at}")
        self._at += size
        return self._data[self._at - size : self._at]

    def _align(self, size: int) -> None:
        self._at += -(self._at - len(_HEAD)) % size

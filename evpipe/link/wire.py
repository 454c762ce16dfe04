"""Packets as bytes: a typed msgpack header, and the arrays beside it, never inside.

Nothing is unpickled: kinds, element types and sizes are checked against what a packet may hold.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from evpipe.packets import KINDS, Packet

Array = NDArray[Any]

# What may cross a link, by numpy's short code; all little endian.
_DTYPES = {code: np.dtype(code) for code in ("|u1", "|b1", "|i1", "<u2", "<i2", "<i4", "<i8", "<u4", "<f4", "<f8")}


class WireError(ValueError):
    """Bytes that are no packet of ours; the text says what is wrong with them."""


class ArrayForm(msgspec.Struct, array_like=True, frozen=True):
    """Element type and shape of one array of a packet."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes that the array takes, exact for any shape."""
        return math.prod(self.shape) * _DTYPES[self.dtype].itemsize


class Header(msgspec.Struct, array_like=True, frozen=True):
    """A packet without its arrays: kind, plain fields, and the form of each array."""

    kind: str
    plain: msgspec.Raw
    arrays: tuple[ArrayForm, ...]


class _Kind:
    """How one kind of packet is taken apart and put together."""

    def __init__(self, kind: type[Packet]) -> None:
        hints = typing.get_type_hints(kind)
        self.kind = kind
        self.arrays = tuple(name for name in kind.__struct_fields__ if typing.get_origin(hints[name]) is np.ndarray)
        self.plain = tuple(name for name in kind.__struct_fields__ if name not in self.arrays)
        fields = [(name, hints[name]) for name in self.plain]
        form = msgspec.defstruct(f"{kind.__name__}Fields", fields, array_like=True, frozen=True)
        self.form: Any = form
        self.decoder = msgspec.msgpack.Decoder(form)


_KINDS = {name: _Kind(kind) for name, kind in KINDS.items()}
_ENCODER = msgspec.msgpack.Encoder()
_HEADERS = msgspec.msgpack.Decoder(Header)


def take_apart(packet: Packet) -> tuple[Header, list[Array]]:
    """The header and the arrays (contiguous, the packet's own memory where possible) of a packet."""
    how = _KINDS[type(packet).__name__]
    arrays = [np.ascontiguousarray(getattr(packet, name)) for name in how.arrays]
    plain = _ENCODER.encode([getattr(packet, name) for name in how.plain])
    forms = tuple(ArrayForm(array.dtype.str, array.shape) for array in arrays)
    for form, name in zip(forms, how.arrays, strict=True):
        if form.dtype not in _DTYPES:
            raise WireError(
                f"{type(packet).__name__}.{name} has elements of type {form.dtype}; expected {list(_DTYPES)}"
            )
    return Header(type(packet).__name__, msgspec.Raw(plain), forms), arrays


def put_together(header: Header, buffers: Sequence[Any]) -> Packet:
    """The packet again, its arrays being read-only views of `buffers`, one for each array.

    Raises WireError when the kind is unknown, a field has the wrong type, or a buffer is not as long as its form says.
    """
    how = _KINDS.get(header.kind)
    if how is None:
        raise WireError(f"unknown kind of packet {header.kind!r}; expected one of {sorted(_KINDS)}")
    if not len(how.arrays) == len(header.arrays) == len(buffers):
        raise WireError(
            f"{header.kind} has {len(how.arrays)} arrays, found {len(header.arrays)} and {len(buffers)} buffers"
        )
    try:
        fields = how.decoder.decode(header.plain)
    except msgspec.MsgspecError as error:
        raise WireError(f"header of {header.kind}: {error}") from None
    values = {name: getattr(fields, name) for name in how.plain}
    for name, form, buffer in zip(how.arrays, header.arrays, buffers, strict=True):
        values[name] = _view(form, buffer, f"{header.kind}.{name}")
    return how.kind(**values)


def _view(form: ArrayForm, buffer: Any, name: str) -> Array:
    dtype = _DTYPES.get(form.dtype)
    if dtype is None or any(n < 0 for n in form.shape):
        raise WireError(f"{name}: no array of type {form.dtype!r} and shape {form.shape}")
    found = memoryview(buffer).nbytes
    if found != form.nbytes:
        raise WireError(f"{name}: {form.dtype}{list(form.shape)} takes {form.nbytes} bytes, found {found}")
    array = np.frombuffer(buffer, dtype=dtype).reshape(form.shape) if found else np.empty(form.shape, dtype)
    array.flags.writeable = False
    return array


def decode_header(data: bytes) -> Header:
    """Parse header bytes. Raises WireError."""
    try:
        return _HEADERS.decode(data)
    except msgspec.MsgspecError as error:
        raise WireError(f"packet header: {error}") from None

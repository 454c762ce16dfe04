"""Shared memory between workers: a producer writes a packet's arrays once, consumers map them read-only.

The memory is an anonymous file (memfd) that vanishes with the last process holding it: nothing is left in /dev/shm.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from evpipe.link.wire import Array

_ALIGN = 64  # bytes; a cache line
_SMALLEST = 12  # log2 of the smallest slot, a page
_SEALS = 0x0002 | 0x0004 | 0x0010  # F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE (Linux 5.1)
_F_ADD_SEALS = 1033


def new_memory(name: str, size: int) -> int:
    """A sealable memfd of `size` bytes; pages are taken only once they are written."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    return fd


class Slot:
    """Where the arrays of one packet lie: `fd` of a memory of its own, or None for the arena; `uses` edges to go."""

    __slots__ = ("fd", "nbytes", "offset", "starts", "uses")

    def __init__(self, offset: int, starts: tuple[int, ...], nbytes: int, fd: int | None = None) -> None:
        self.offset, self.starts, self.nbytes, self.fd, self.uses = offset, starts, nbytes, fd, 0


class Arena:
    """The producer's side: slots of 2^k bytes, reused last-in first-out so that they stay in the cache.

    A packet for which there is no room gets a memory of its own, closed when its last consumer is done.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.size = os.fstat(fd).st_size
        self._map = mmap.mmap(fd, self.size)
        # Consumers may map what exists, but no one may write, shrink or grow it from here on. Older kernels know no
        # FUTURE_WRITE; there the read-only mapping of the consumers is all that protects it.
        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, _F_ADD_SEALS, _SEALS)
        self._memory = np.frombuffer(self._map, np.uint8)
        self._free: dict[int, list[int]] = {}
        self._top = 0
        self.overflows = 0

    def store(self, arrays: Sequence[Array]) -> Slot:
        """Copy the arrays into one slot."""
        starts, total = [], 0
        for array in arrays:
            starts.append(total)
            total += -(-array.nbytes // _ALIGN) * _ALIGN
        offset = self._take(total)
        if offset is None:
            slot, memory = self._overflow(tuple(starts), total)
        else:
            slot = Slot(offset, tuple(start + offset for start in starts), total)
            memory = self._memory
        for start, array in zip(slot.starts, arrays, strict=True):
            if array.nbytes:
                memory[start : start + array.nbytes] = array.reshape(-1).view(np.uint8)
        return slot

    def release(self, slot: Slot) -> None:
        """One edge is done with the slot; the last one gives it back."""
        slot.uses -= 1
        if slot.uses > 0:
            return
        if slot.fd is not None:
            os.close(slot.fd)
        else:
            self._free.setdefault(_size_class(slot.nbytes), []).append(slot.offset)

    def _take(self, nbytes: int) -> int | None:
        size_class = _size_class(nbytes)
        free = self._free.get(size_class)
        if free:
            return free.pop()
        size = 1 << size_class
        if self._top + size <= self.size:
            self._top += size
            return self._top - size
        return None

    def _overflow(self, starts: tuple[int, ...], total: int) -> tuple[Slot, Any]:
        self.overflows += 1
        fd = new_memory("evpipe-packet", max(total, 1))
        return Slot(0, starts, total, fd), np.frombuffer(mmap.mmap(fd, max(total, 1)), np.uint8)


def _size_class(nbytes: int) -> int:
    return max(_SMALLEST, (nbytes - 1).bit_length())


class _Owner:
    """Exports one slot's bytes; when the last array over them dies, so does this, and the slot is given back.

    numpy keeps the exporter of an array alive through every view of it, so no array needs a finaliser.
    """

    def __init__(self, address: int, nbytes: int, keep: Any, slot: int, freed: deque[int]) -> None:
        self.__array_interface__ = {"shape": (nbytes,), "typestr": "|u1", "data": (address, True), "version": 3}
        self._keep, self._slot, self._freed = keep, slot, freed

    def __del__(self) -> None:
        self._freed.append(self._slot)


class Mapping:
    """The consumer's side of one producer's memory. `freed` collects slots whose arrays have died, from any thread."""

    def __init__(self, fd: int, producer_pid: int) -> None:
        self._pid = producer_pid
        self._map = mmap.mmap(fd, os.fstat(fd).st_size, access=mmap.ACCESS_READ)
        self._whole = np.frombuffer(self._map, np.uint8)
        self.freed: deque[int] = deque()

    def views(self, slot: int, fd: int | None, starts: Sequence[int], sizes: Sequence[int]) -> list[Array]:
        """Read-only byte arrays of a slot. Raises ValueError when they would reach outside the memory."""
        keep: Any = self._map
        whole = self._whole
        if fd is not None:
            with open(f"/proc/{self._pid}/fd/{fd}", "rb") as file:
                keep = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            whole = np.frombuffer(keep, np.uint8)
        first = starts[0]
        end = max(start + size for start, size in zip(starts, sizes, strict=True))
        if min(starts) < 0 or first != min(starts) or end > len(whole):
            raise ValueError(f"slot {slot}: bytes {first} to {end} reach outside a memory of {len(whole)}")
        owner = _Owner(whole.ctypes.data + first, end - first, keep, slot, self.freed)
        buffer = np.asarray(owner)
        return [buffer[start - first : start - first + size] for start, size in zip(starts, sizes, strict=True)]

"""Shared memory: slots are reused only after the last view of them died, and consumers cannot write."""

from __future__ import annotations

import gc
import mmap
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.link.arena import Arena, Mapping, new_memory

KIB = 1024


def pair(size: int = 64 * KIB) -> tuple[Arena, Mapping, int]:
    fd = new_memory("evpipe-test", size)
    return Arena(fd), Mapping(fd, os.getpid()), fd


def views(mapping: Mapping, number: int, slot, sizes: list[int]) -> list[np.ndarray]:
    return mapping.views(number, slot.fd, slot.starts, sizes)


def test_a_slot_returns_when_its_last_view_dies():
    """Views of views keep it alive; nothing is freed while one of them lives."""
    arena, mapping, fd = pair()
    arrays = [np.arange(2000, dtype=np.int64), np.arange(300, dtype=np.uint8)]
    slot = arena.store(arrays)
    a, b = views(mapping, 7, slot, [x.nbytes for x in arrays])
    typed = a.view(np.int64)
    assert np.array_equal(typed, arrays[0])
    assert np.array_equal(b, arrays[1])
    part = typed[10:20][::2]
    del a, b, typed
    gc.collect()
    assert not mapping.freed
    assert part.tolist() == [10, 12, 14, 16, 18]
    del part
    assert list(mapping.freed) == [7]
    os.close(fd)


def test_consumers_cannot_write():
    """Neither through the array nor by mapping the sealed memory themselves."""
    arena, mapping, fd = pair()
    slot = arena.store([np.zeros(5000, np.uint8)])
    (view,) = views(mapping, 1, slot, [5000])
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1
    with pytest.raises(PermissionError):
        mmap.mmap(fd, 64 * KIB)
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 1)
    os.close(fd)


@given(st.lists(st.tuples(st.integers(1, 40 * KIB), st.booleans()), max_size=40))
@settings(deadline=None, max_examples=60)
def test_stored_packets_never_overlap(steps):
    """Whatever is stored and released in whatever order, living slots keep their bytes, full arena or not."""
    arena, mapping, fd = pair(128 * KIB)
    living = {}
    for number, (size, release) in enumerate(steps):
        data = np.full(size, number % 251, np.uint8)
        slot = arena.store([data])
        slot.uses = 1
        living[number] = (slot, data, views(mapping, number, slot, [size])[0])
        if release:
            oldest = min(living)
            slot, _, view = living.pop(oldest)
            del view
            arena.release(slot)
        for _, expected, view in living.values():
            assert np.array_equal(view, expected)
    for slot, _, _ in living.values():
        arena.release(slot)
    os.close(fd)


def test_a_descriptor_outside_the_memory_is_refused():
    """Offsets are checked before anything is touched."""
    _, mapping, fd = pair()
    for starts, sizes in [((-64,), [10]), ((64 * KIB,), [1]), ((0, 60 * KIB), [10, 8 * KIB])]:
        with pytest.raises(ValueError, match="outside a memory of 65536"):
            mapping.views(1, None, starts, sizes)
    os.close(fd)


def test_empty_arrays_take_no_room():
    """A packet without events has arrays of length 0."""
    arena, mapping, fd = pair()
    slot = arena.store([np.zeros(0, np.int64), np.arange(8, dtype=np.uint16), np.zeros(0, np.uint8)])
    a, b, c = views(mapping, 1, slot, [0, 16, 0])
    assert (len(a), b.view(np.uint16).tolist(), len(c)) == (0, list(range(8)), 0)
    os.close(fd)

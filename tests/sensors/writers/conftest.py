"""Writing chunks whose memory is used again, and reading a recording whole."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from sensors.formats.detect import open_reader
from sensors.formats.reader import EventChunk, FrameChunk, ImuChunk, TriggerChunk, shown

KINDS = (np.int64, np.uint16, np.uint16, np.uint8)
EDGE_KINDS = (np.int64, np.uint8, np.uint8)


def chunk_of(rows):
    """An EventChunk of (t, x, y, p) rows."""
    rows = list(zip(*rows, strict=True)) or [[]] * 4
    return EventChunk(*(np.array(column, kind) for column, kind in zip(rows, KINDS, strict=True)))


def edges_of(rows):
    """A TriggerChunk of (t, channel, value) rows."""
    rows = list(zip(*rows, strict=True)) or [[]] * 3
    return TriggerChunk(*(np.array(column, kind) for column, kind in zip(rows, EDGE_KINDS, strict=True)))


def rows_of(chunk):
    """Rows of plain integers."""
    return list(zip(*(column.tolist() for column in chunk), strict=True))


def give(writer, rows, cuts=()):
    """Write event rows in pieces; the memory of each is spoilt afterwards, as a reader would."""
    places = sorted({0, len(rows), *(cut % (len(rows) + 1) for cut in cuts)})
    for begin, end in pairwise(places):
        chunk = chunk_of(rows[begin:end])
        writer.events(chunk)
        for column in chunk:
            column.fill(0)


def read(path, size=None):
    """Everything in a recording, upright; what was damaged; what was noted. `size` (width, height) overrides."""
    reader = open_reader(str(path), size[::-1] if size else None)
    events, edges, frames, imu = [], [], [], []
    try:
        for chunk in reader.chunks():
            if isinstance(chunk, EventChunk):
                events += rows_of(shown(reader, chunk))
            elif isinstance(chunk, FrameChunk):
                frames.append(chunk)
            elif isinstance(chunk, ImuChunk):
                imu.append(ImuChunk(*(column.copy() for column in chunk)))
            else:
                edges += rows_of(chunk)
    finally:
        reader.close()
    return SimpleNamespace(
        reader=reader,
        size=(reader.width, reader.height),
        events=events,
        edges=edges,
        frames=frames,
        imu=imu,
        damage=reader.account.damage,
        notes=reader.account.notes,
    )


@pytest.fixture(scope="session")
def io():
    """The functions above."""
    return SimpleNamespace(chunk_of=chunk_of, edges_of=edges_of, rows_of=rows_of, give=give, read=read)

"""Reading a recording whole, for comparison."""

from pathlib import Path

import numpy as np
import pytest

from sensors.formats.detect import open_reader
from sensors.formats.reader import EventChunk, FrameChunk, ImuChunk


class Found:
    """Everything that a reader gave: columns, and whatever else is passed in."""

    def __init__(self, columns, **rest):
        self.t, self.x, self.y, self.p = columns
        self.__dict__.update(rest)

    @property
    def rows(self):
        """Events as tuples of plain integers."""
        return list(zip(*(column.tolist() for column in (self.t, self.x, self.y, self.p)), strict=True))


@pytest.fixture(scope="session")
def read_whole():
    """A function (path, block_bytes=None, size=None, encoding=None) -> everything in the file."""

    def read(path, block_bytes=None, size=None, encoding=None):
        reader = open_reader(str(path), size, encoding)
        if block_bytes:
            reader.block_bytes = block_bytes
        events, triggers, imu, frames = [], [], [], []
        for chunk in reader.chunks():
            if isinstance(chunk, EventChunk):
                events.append([column.copy() for column in chunk])
            elif isinstance(chunk, FrameChunk):
                frames.append(chunk)
            elif isinstance(chunk, ImuChunk):
                imu.append(chunk)
            else:
                triggers.append(chunk)
        reader.close()
        columns = [np.concatenate(column) for column in zip(*events, strict=True)] if events else [np.empty(0)] * 4
        return Found(
            columns,
            reader=reader,
            edges=[edge for chunk in triggers for edge in zip(*(c.tolist() for c in chunk), strict=True)],
            imu=imu,
            frames=frames,
            damage=reader.account.damage,
            notes=reader.account.notes,
        )

    return read


@pytest.fixture(scope="session")
def raw_bytes():
    """A function (encoding, hex words) -> the bytes of a RAW file of 1280x720 pixels."""

    def make(encoding: str, words: str) -> bytes:
        size = {"EVT2": 4, "EVT3": 2}[encoding]
        data = b"".join(int(word, 16).to_bytes(size, "little") for word in words.split())
        return f"% format {encoding};height=720;width=1280\n% end\n".encode() + data

    return make


@pytest.fixture
def raw(tmp_path: Path, raw_bytes):
    """A function (encoding, hex words) -> the path of a RAW file."""

    def make(encoding: str, words: str) -> Path:
        path = tmp_path / "a.raw"
        path.write_bytes(raw_bytes(encoding, words))
        return path

    return make

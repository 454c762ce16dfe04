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


@pytest.fixture(scope="session")
def big_raw(tmp_path_factory):
    """(path, time of the last event) of an EVT3 recording of 1 GiB: five events each 16 us; removed afterwards."""
    random, n, step = np.random.default_rng(0), 2**16, 16
    x, p, y = random.integers(0, 1280, (n, 5)), random.integers(0, 2, (n, 5)), random.integers(0, 720, n)
    words = np.empty((n, 8), np.uint16)
    words[:, 2], words[:, 3:] = y, 0x2000 | p << 11 | x
    path, start = tmp_path_factory.mktemp("big") / "big.raw", 0
    with open(path, "wb") as file:
        file.write(b"% format EVT3;height=720;width=1280\n% end\n")
        while file.tell() < 2**30:
            t = start + step * np.arange(n)
            words[:, 0], words[:, 1] = 0x8000 | t >> 12 & 0xFFF, 0x6000 | t & 0xFFF
            file.write(words.tobytes())
            start += step * n
    yield Found([None] * 4, path=path, last_us=start - step)
    path.unlink()
    path.with_name(path.name + ".evpipe-index").unlink(missing_ok=True)

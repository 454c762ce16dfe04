"""Small recordings made by the tests."""

from pathlib import Path

import numpy as np
import pytest

WIDTH, HEIGHT = 640, 480


def evt2(times, edges=()) -> bytes:
    """EVT2 words: event k at pixel (k % 640, k // 640 % 480) with polarity k % 2; edges as (t, channel, value)."""
    words, high = [], None
    items = [(t, k, None) for k, t in enumerate(times)] + [(t, None, (channel, value)) for t, channel, value in edges]
    for t, k, edge in items if not edges else sorted(items, key=lambda item: item[0]):
        if t >> 6 != high:
            high = t >> 6
            words.append(8 << 28 | high)
        low = (t & 63) << 22
        if edge is None:
            words.append(k % 2 << 28 | low | k % WIDTH << 11 | k // WIDTH % HEIGHT)
        else:
            words.append(0xA << 28 | low | edge[0] << 8 | edge[1])
    return np.array(words, "<u4").tobytes()


@pytest.fixture
def raw(tmp_path: Path):
    """A function (times, edges=(), name="a.raw") -> the path of an EVT2 file of 640x480 pixels."""

    def make(times, edges=(), name="a.raw") -> str:
        path = tmp_path / name
        head = f"% format EVT2;height={HEIGHT};width={WIDTH}\n% end\n".encode()
        path.write_bytes(head + evt2(times, edges))
        return str(path)

    return make


@pytest.fixture
def dat(tmp_path: Path):
    """A function (times, name="a.dat") -> the path of a DAT file of 640x480 pixels, pixels as in `raw`."""

    def make(times, name="a.dat", tail=b"") -> str:
        path = tmp_path / name
        t = np.array(times, np.int64)
        k = np.arange(len(t))
        out = np.empty((len(t), 2), "<u4")
        out[:, 0] = t
        out[:, 1] = k % WIDTH | k // WIDTH % HEIGHT << 14 | k % 2 << 28
        path.write_bytes(
            f"% Version 2\n% Height {HEIGHT}\n% Width {WIDTH}\n".encode() + b"\x00\x08" + out.tobytes() + tail
        )
        return str(path)

    return make


SHEET = [3, 5, 12, 19, 20, 21, 55, 56, 57, 58, 80, 81, 99, 100, 101]


@pytest.fixture
def sheet() -> list[int]:
    """The times of the example that OpenEB's own iterator was run on."""
    return list(SHEET)

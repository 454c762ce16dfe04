"""Recordings and recipes for the sources of clips: files written byte by byte, as cameras' programs write them."""

import struct
from pathlib import Path

import numpy as np
import pytest

from operators.learn.recipe import Recipe, Window

DVS128 = b"#!AER-DAT2.0\r\n# AEChip: ch.unizh.ini.jaer.chip.retina.DVS128\r\n"


def aedat2(t, x, y, p, header=DVS128) -> bytes:
    """AEDAT 2.0 of a DVS128 whose upright picture has these events: jAER's origin is at the bottom right."""
    address = (127 - x.astype(">u4")) << 1 | (127 - y.astype(">u4")) << 8 | (1 - p.astype(">u4"))
    return header + np.stack([address, t.astype(">u4")], 1).astype(">u4").tobytes()


def aedat3(t, x, y, p, source="DVS128") -> bytes:
    """AEDAT 3.1 in packets of 1000 events, with a packet of special events between them."""
    out = [f"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: {source}\r\n#!END-HEADER\r\n".encode()]
    for first in range(0, len(t), 1000):
        part = slice(first, first + 1000)
        word = 1 | p[part].astype("<u4") << 1 | y[part].astype("<u4") << 2 | x[part].astype("<u4") << 17
        n = len(word)
        out.append(struct.pack("<hhiiiiii", 1, 1, 8, 4, 0, n, n, n))
        out.append(np.stack([word, t[part].astype("<u4")], 1).astype("<u4").tobytes())
        out.append(struct.pack("<hhiiiiii", 0, 1, 8, 4, 0, 2, 1, 1) + bytes(16))
    return b"".join(out)


def atis(t, x, y, p) -> bytes:
    """Five bytes an event."""
    columns = [x, y, (p << 7) | (t >> 16), (t >> 8) & 0xFF, t & 0xFF]
    return np.stack([column.astype("u1") for column in columns], 1).tobytes()


ENCODERS = {".aedat": aedat2, ".bin": atis, ".v3.aedat": aedat3}


@pytest.fixture
def record():
    """A function (path, duration_us=, seed=, start_us=, size=, n=) that writes a recording and returns its events.

    First and last event lie at the ends of the duration; the name's ending chooses the format.
    """

    def write(path: Path, duration_us: int = 400_000, seed: int = 0, start_us: int = 1000, size=(34, 34), n: int = 500):
        rng = np.random.default_rng(seed)
        t = start_us + np.sort(rng.integers(0, duration_us, n))
        t[0], t[-1] = start_us, start_us + duration_us - 1
        x, y, p = (rng.integers(0, top, n) for top in (size[1], size[0], 2))
        suffix = "".join(path.suffixes[-2:]) if path.name.endswith(".v3.aedat") else path.suffix
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(ENCODERS[suffix](t, x, y, p))
        return t, x, y, p

    return write


@pytest.fixture
def recipe_of():
    """A function (data, **input) -> a recipe of windows of 100 ms in 5 frames, steps of 4 ms, 16x16."""

    def make(data, window_us: int = 100_000, frames: int = 5, size=(16, 16), sensor=None) -> Recipe:
        window = Window(window_us=window_us, frames=frames, size=size, sensor=sensor)
        return Recipe(evpipe_recipe=1, name="test", data=data, input=window)

    return make


@pytest.fixture
def counted():
    """A plain count of events (t, x, y, p) in steps: the oracle. Square sensors and sizes that divide them only."""

    def count(events, start_us: int, step_us: int, steps: int, sensor: int, size: int) -> np.ndarray:
        counts = np.zeros((steps, 2, size, size), np.int64)
        for t, x, y, p in zip(*events, strict=True):
            step = (int(t) - start_us) // step_us
            if 0 <= step < steps:
                counts[step, p, int(y) * size // sensor, int(x) * size // sensor] += 1
        return counts

    return count

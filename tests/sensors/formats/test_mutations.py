"""Whatever is done to a file, reading ends in words: events and damage, or an InputError, and takes bounded memory."""

import resource
import time

import numpy as np
import pytest

from evpipe.errors import InputError
from sensors.formats.detect import open_reader
from sensors.formats.reader import FrameChunk

FORMATS = ["evt2", "evt21", "evt3", "evt4", "dat", "npy", "npz", "text", "dsec", "bag", "mcap", "db3"]
REAL = {
    "bag": "transcoded/davis346_dvs_msgs.bag",
    "mcap": "ros_event_camera/test_events_2/test_events_2_0.mcap",
    "db3": "ros_event_camera/mono_cd/test_data_mono_cd_0.db3",
}


def sample(name, path, shared) -> bytes:
    """A small recording of a format, or the beginning of a real one."""
    random = np.random.default_rng(5)
    n = 1000
    t = 10_000 + np.cumsum(random.integers(0, 40, n))
    x, y, p = random.integers(0, 346, n), random.integers(0, 260, n), random.integers(0, 2, n)
    if name.startswith("evt"):
        head = f"% format {name.upper()};endianness=little;height=260;width=346\n% end\n".encode()
        if name == "evt3":
            low = t & 0xFFF
            words = [0x8000 | t >> 12, 0x6000 | low, y, 0x2000 | p << 11 | x, 0x3000 | x, 0x4000 | low]
            return head + np.stack(words, 1).astype("<u2").tobytes()
        kinds = {"evt2": (8, p), "evt21": (8, p), "evt4": (14, np.where(t % 9 == 0, 12, 10) + p)}[name]
        events = kinds[1] << 28 | (t & 0x3F) << 22 | x << 11 | y
        words = np.stack([np.full(n, kinds[0] << 28) | t >> 6, events], 1)
        if name == "evt21":
            return head + (words << 32 | 5).astype("<u8").tobytes()
        return head + words.astype("<u4").tobytes()
    if name == "dat":
        return b"% Version 2\n\x0c\x08" + (t | (x | y << 14 | p << 28) << 32).astype("<u8").tobytes()
    if name == "text":
        return b"t,x,y,p\n" + "".join(f"{a},{b},{c},{d}\n" for a, b, c, d in zip(t, x, y, p, strict=True)).encode()
    if name == "npy":
        np.save(path.with_suffix(".npy"), np.stack([t, x, y, p], 1))
        return path.with_suffix(".npy").read_bytes()
    if name == "npz":
        np.savez_compressed(path.with_suffix(".npz"), t=t, x=x, y=y, p=p)
        return path.with_suffix(".npz").read_bytes()
    if name == "dsec":
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as h5:
            h5.attrs["geometry"] = "346x260"
            for key, column in zip("txyp", (t, x, y, p), strict=True):
                h5.create_dataset(f"events/{key}", data=column.astype("u4"), compression="gzip", chunks=(300,))
        return path.read_bytes()
    return (shared / "data" / REAL[name]).read_bytes()[:60_000]


def changed(whole: bytes, random) -> bytes:
    """Cut, changed bytes and numbers, pieces taken out; the first bytes more often than others."""
    data = bytearray(whole)
    if random.random() < 0.2:
        del data[random.integers(1, len(data)) :]
    for _ in range(random.integers(1, 6)):
        at = int(random.integers(0, min(4096, len(whole)) if random.random() < 0.5 else len(whole)))
        if at < len(data) and random.random() < 0.3:
            data[at : at + 8] = [b"\xff" * 8, bytes(8), b"\x7f" + b"\xff" * 7][random.integers(3)]
        elif at < len(data):
            data[at] = random.integers(0, 256)
    if random.random() < 0.05:
        first, last = sorted(random.integers(0, len(data), 2))
        del data[first:last]
    return bytes(data)


def check(name, path, shared, times) -> None:
    random = np.random.default_rng(7)
    whole = sample(name, path, shared)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = {"refused": 0, "damaged": 0, "whole": 0}
    for _ in range(times):
        data = changed(whole, random)
        path.write_bytes(data)
        start = time.perf_counter()
        try:
            reader = open_reader(str(path))
        except InputError:
            outcomes["refused"] += 1
            continue
        for chunk in reader.chunks():
            if not isinstance(chunk, FrameChunk):
                assert len(chunk.t)
        reader.close()
        outcomes["damaged" if reader.account.damage else "whole"] += 1
        assert time.perf_counter() - start < 10
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 700_000, grown  # kB
    print(name, outcomes)


@pytest.mark.parametrize("name", FORMATS)
def test_changed_files_end_in_words(name, tmp_path, shared) -> None:
    check(name, tmp_path / f"a.{name}", shared, 150)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_ten_thousand_changed_files_end_in_words(name, tmp_path, shared) -> None:
    check(name, tmp_path / f"a.{name}", shared, 10_000)

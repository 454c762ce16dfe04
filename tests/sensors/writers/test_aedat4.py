"""The AEDAT 4 writer: what is written reads back equal, also from a file that was never closed."""

import importlib.util

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evpipe.errors import RecorderError
from sensors.formats.detect import open_reader
from sensors.formats.reader import EventChunk, FrameChunk, ImuChunk
from sensors.writers.aedat4 import Aedat4Writer


def read(path):
    reader = open_reader(str(path))
    events, triggers, imu, frames = [], [], [], []
    for chunk in reader.chunks():
        if isinstance(chunk, EventChunk):
            events += zip(*(column.tolist() for column in chunk), strict=True)
        elif isinstance(chunk, FrameChunk):
            frames.append((chunk.start_us, chunk.end_us, chunk.image.tolist()))
        elif isinstance(chunk, ImuChunk):
            imu += zip(chunk.t.tolist(), chunk.accel.tolist(), chunk.gyro.tolist(), strict=True)
        else:
            triggers += zip(*(column.tolist() for column in chunk), strict=True)
    reader.close()
    return events, triggers, imu, frames, reader.account.damage


def columns(rows, *kinds):
    return [np.array(column, kind) for column, kind in zip(zip(*rows, strict=True), kinds, strict=True)]


times = st.integers(-(2**40), 2**62)
event = st.tuples(times, st.integers(0, 345), st.integers(0, 259), st.integers(0, 1))
edge = st.tuples(times, st.integers(0, 40), st.integers(0, 1))
sample = st.tuples(times, *[st.floats(-16, 16, width=32)] * 6)
exposure = st.tuples(st.integers(0, 2**60), st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 4), st.booleans())
call = st.one_of(
    st.tuples(st.just("events"), st.lists(event, min_size=1, max_size=20)),
    st.tuples(st.just("triggers"), st.lists(edge, min_size=1, max_size=5)),
    st.tuples(st.just("imu"), st.lists(sample, min_size=1, max_size=5)),
    st.tuples(st.just("frame"), exposure),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(call, max_size=12))
def test_written_reads_back_equal(tmp_path, calls):
    """All kinds in any order, times of 64 bits, grey and colour; equal calls give equal bytes."""
    contents = []
    for name in ("a", "b"):
        expected = [[], [], [], []]
        with Aedat4Writer(tmp_path / name, 346, 260) as writer:
            for kind, rows in calls:
                if kind == "events":
                    writer.events(*columns(rows, np.int64, np.uint16, np.uint16, np.uint8))
                    expected[0] += rows
                elif kind == "triggers":
                    writer.triggers(*columns(rows, np.int64, np.uint8, np.uint8))
                    expected[1] += rows
                elif kind == "imu":
                    t = np.array([row[0] for row in rows], np.int64)
                    values = np.array([row[1:] for row in rows], np.float32)
                    writer.imu(t, values[:, :3], values[:, 3:])
                    expected[2] += [(row[0], list(row[1:4]), list(row[4:])) for row in rows]
                else:
                    start, length, height, width, grey = rows
                    shape = (height, width) if grey else (height, width, 3)
                    image = (np.arange(np.prod(shape)) % 251).astype(np.uint8).reshape(shape)
                    writer.frame(start, start + length, image)
                    expected[3].append((start, start + length, image.tolist()))
        *found, damage = read(tmp_path / name)
        assert [list(map(tuple, part)) for part in found[:2]] == expected[:2]
        assert found[2:] == expected[2:]
        assert not damage
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]


def test_never_closed_keeps_all_but_the_last_packet(tmp_path):
    """Without close, what lies further back than the flush time is in the file."""
    writer = Aedat4Writer(tmp_path / "a", 10, 10)
    one = np.ones(1, np.uint16)
    for t in range(0, 100_000, 1000):
        writer.events(np.array([t]), one, one, one.astype(np.uint8))
    events, *_, damage = read(tmp_path / "a")
    assert not damage
    assert [row[0] for row in events] == list(range(0, len(events) * 1000, 1000))
    assert events[-1][0] >= 99_000 - 20_000
    writer.close()
    assert len(read(tmp_path / "a")[0]) == 100


def test_what_the_format_cannot_hold_is_refused(tmp_path):
    zero = np.zeros(1, np.uint16)
    with pytest.raises(RecorderError, match="32767"):
        Aedat4Writer(tmp_path / "a", 40_000, 10)
    with Aedat4Writer(tmp_path / "a") as writer:
        with pytest.raises(RecorderError, match="before the size"):
            writer.events(np.zeros(1, np.int64), zero, zero, zero.astype(np.uint8))
        writer.events(np.zeros(1, np.int64), zero, zero, zero.astype(np.uint8), size=(4, 4))
        with pytest.raises(RecorderError, match="outside the sensor of 4x4"):
            writer.events(np.zeros(1, np.int64), zero + 4, zero, zero.astype(np.uint8))
        with pytest.raises(RecorderError, match="channel 77"):
            writer.triggers(np.zeros(1, np.int64), np.array([77], np.uint8), np.ones(1, np.uint8))
        with pytest.raises(RecorderError, match="shape"):
            writer.frame(0, 1, np.zeros((2, 2, 4), np.uint8))
    with pytest.raises(RecorderError, match="cannot be created"):
        Aedat4Writer(tmp_path / "no" / "a", 4, 4)


def test_a_full_disk_is_told():
    """/dev/full refuses every write."""
    with pytest.raises(RecorderError, match="free disk space") as caught:
        Aedat4Writer("/dev/full", 4, 4)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("package", ["aedat", "dv_processing"])
def test_other_readers_read_it(package, tmp_path):
    """Cross-check with an independent reader, where one is installed."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs the package {package}, which is not installed")
    t = np.arange(1000, dtype=np.int64)
    with Aedat4Writer(tmp_path / "a.aedat4", 346, 260) as writer:
        writer.events(t, (t % 346).astype(np.uint16), (t % 260).astype(np.uint16), (t % 2).astype(np.uint8))
    if package == "aedat":
        import aedat

        found = np.concatenate([p["events"] for p in aedat.Decoder(str(tmp_path / "a.aedat4")) if "events" in p])
        assert found["t"].tolist() == t.tolist()
        assert found["x"].tolist() == (t % 346).tolist()
    else:
        import dv_processing as dv

        batch = dv.io.MonoCameraRecording(str(tmp_path / "a.aedat4")).getNextEventBatch()
        assert batch.timestamps().tolist() == t.tolist()

"""Seeking: what is read from a time on equals the rest of a plain read; the index file is made, used, never trusted."""

import os
import time
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sensors.formats import index as index_module
from sensors.formats.detect import open_reader
from sensors.formats.reader import EventChunk, FrameChunk
from sensors.replay import Replay
from tests.sensors.formats.small_files import ALL, SIZE, some_events, write


def read(reader, from_us=None, since=None):
    """Everything at or after `since`, by kind, read from a place before `from_us`; and how many chunks it took."""
    found, n = {}, 0
    for chunk in reader.chunks(None, from_us):
        n += 1
        if isinstance(chunk, FrameChunk):
            if since is None or chunk.end_us >= since:
                found.setdefault("frames", []).append((chunk.start_us, chunk.end_us, chunk.image.tobytes()))
            continue
        keep = slice(None) if since is None else chunk.t >= since
        parts = found.setdefault(type(chunk).__name__, [b""] * len(chunk))
        for k, column in enumerate(chunk):
            parts[k] += column[keep].tobytes()
    return {kind: parts for kind, parts in found.items() if any(parts)}, n


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n=st.integers(1, 1500),
    seed=st.integers(0, 99),
    disorder=st.sampled_from([0, 0, 1, 5]),
    step=st.sampled_from([3, 40, 3_000, 30_000]),
    block=st.sampled_from([64, 333, 4096, 2**20]),
    times=st.lists(st.floats(-0.1, 1.1), min_size=1, max_size=4),
)
def test_a_seek_gives_the_rest_of_a_plain_read(name, n, seed, disorder, step, block, times, tmp_path) -> None:
    """For any format, times in and out of order, blocks of any size, and times in any succession."""
    path = write(name, tmp_path / "a", some_events(n, seed, disorder, step))
    reader = open_reader(str(path))
    reader.block_bytes = block
    assert reader.seekable
    first, last = 10_000, 10_000 + n * step // 2
    for place in times:
        time = int(first + place * (last - first))
        assert read(reader, time, time)[0] == read(reader, None, time)[0]
    reader.close()


@pytest.mark.parametrize("name", ALL)
def test_a_seek_reads_only_what_it_needs(name, tmp_path) -> None:
    """Near the end of a recording in order, a few blocks are read once the places are known."""
    path = write(name, tmp_path / "a", some_events(20_000))
    reader = open_reader(str(path))
    reader.block_bytes = 4096
    _, whole = read(reader)
    reader.index.finish()
    assert whole > 20
    _, needed = read(reader, reader.index._rows[-3, 0])
    assert needed < whole / 4
    reader.close()


def test_real_recordings(shared) -> None:
    """Events, frames, IMU samples and trigger edges after a seek, in files of cameras."""
    for name in (
        "faery_sdist/evt3.raw",
        "faery_sdist/davis346.aedat4",
        "rpg_event_lifetime/IMU_rotDisk.aedat",
        "ros_event_camera/test_events_1.bag",
        "ros_event_camera/mono_cd/test_data_mono_cd_0.db3",
    ):
        reader = open_reader(str(shared / "data" / name))
        reader.block_bytes = 30_000
        first = next(iter(reader.chunks(frozenset({"events"})))).t[0]
        for after in (0, 333_333, 1_000_001):
            assert read(reader, first + after, first + after)[0] == read(reader, None, first + after)[0], name
        reader.close()
        assert not os.path.exists(reader.index.path)  # small ones are read through at once


@pytest.fixture
def kept(tmp_path):
    """A recording and its index, both whole."""
    path = write("evt3", tmp_path / "a", some_events(20_000))
    reader = open_reader(str(path))
    reader.block_bytes = 4096
    reader.index.finish()
    assert reader.index.keep()
    reader.close()
    return path


@contextmanager
def opened(path, size=None):
    """A reader in small blocks."""
    reader = open_reader(str(path), size)
    reader.block_bytes = 4096
    try:
        yield reader
    finally:
        reader.close()


def places(path, size=None):
    """How many places an index gives at once."""
    with opened(path, size) as reader:
        return len(reader.index)


def test_an_index_is_taken_up_again(kept) -> None:
    with opened(kept) as reader:
        assert reader.index.complete
        assert len(reader.index) > 50
        newest, place = reader.index.place(200_000)
        assert 190_000 < newest < 200_000
        assert place is not None


def test_an_index_that_does_not_fit_is_made_anew(kept) -> None:
    """Cut, changed anywhere, or of a file of another size, time of change, content or sensor: it is never used."""
    index = kept.with_name(kept.name + ".evpipe-index")
    whole = index.read_bytes()
    assert places(kept) > 50
    assert places(kept, (200, 200)) == 0
    for at in (*range(0, 80, 5), 88, 100, len(whole) // 2, len(whole) - 1):
        index.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert places(kept) == 0, at
    for size in (0, 10, 95, 96, 97, len(whole) - 8):
        index.write_bytes(whole[:size])
        assert places(kept) == 0
    index.write_bytes(whole)
    data, found = kept.read_bytes(), os.stat(kept)
    for content, later_ns in ((data, 1), (data[:-1] + b"\xff", 0), (b"% " + data[2:] + bytes(2), 0)):
        kept.write_bytes(content)
        os.utime(kept, ns=(found.st_atime_ns, found.st_mtime_ns + later_ns))
        assert places(kept) == 0


@pytest.mark.parametrize(
    ("row", "column", "value"),
    [
        (slice(1, None), 1, 2**40),  # bytes outside the file
        (5, 1, -1),
        (5, 2 + 5, -(2**40)),  # the base of vectors lies before the first column
        (5, 2 + 4, 2**40),  # the row
        (slice(None), 2 + 1, 2**50),  # the time
        (5, 0, 7),  # places in disorder
        (0, 0, 0),  # no place at the start
    ],
)
def test_an_index_made_to_harm_is_not_used(row, column, value, kept) -> None:
    """Its digest fits, as anybody can make it; but no decoder has such a state, and no file such places."""
    with opened(kept) as reader:
        rows = reader.index._rows.copy()
        rows[row, column] = value
        reader.index._rows = rows
        assert reader.index.keep()
    with opened(kept) as reader:
        assert len(reader.index) == 0
        assert read(reader, 200_000, 200_000)[0] == read(reader, None, 200_000)[0]


def test_places_that_lie_do_no_harm(kept) -> None:
    """An index that is sound in form may lead anywhere: then times are wrong, and nothing worse."""
    random = np.random.default_rng(2)
    for _ in range(30):
        with opened(kept) as reader:
            rows = reader.index._rows.copy()
            rows[1:, 1] = random.integers(0, os.path.getsize(kept), len(rows) - 1)
            for k, (least, most) in enumerate(reader.index._ranges):
                rows[1:, 2 + k] = random.integers(least, most, len(rows) - 1, endpoint=True)
            reader.index._rows = rows
            for chunk in reader.chunks(None, 200_000):
                if isinstance(chunk, EventChunk):
                    assert chunk.x.max() < SIZE[0]
                    assert chunk.y.max() < SIZE[1]


def test_large_recordings_keep_their_index_when_sought(kept, monkeypatch) -> None:
    """What a seek had to read through is kept; the next process finds it; what lies behind is added when needed."""
    kept.with_name(kept.name + ".evpipe-index").unlink()
    monkeypatch.setattr(index_module, "KEEP_BYTES", 1000)
    with opened(kept) as reader:
        reader.index.place(100_000)
        known = len(reader.index)
    with opened(kept) as reader:
        assert len(reader.index) == known > 10
        assert not reader.index.complete
        reader.index.place(10**9)
        assert reader.index.complete
        assert len(reader.index) > 2 * known
    assert places(kept) > 2 * known


def test_a_folder_that_cannot_be_written_is_said(kept, monkeypatch) -> None:
    """The index is then kept in memory, and a replay says so once."""
    monkeypatch.setattr(index_module, "KEEP_BYTES", 1000)
    index = kept.with_name(kept.name + ".evpipe-index")
    index.unlink()
    index.mkdir()  # as good as a folder without permission, also for root
    said = []
    source = Replay(str(kept), from_us=100_000)
    source.context = type("Listener", (), {"say": lambda self, text: said.append(text)})()
    source.open()
    assert sum(packet.n_events for packet in source.stream()) > 1000
    source.close()
    assert len(said) == 1
    assert "kept in memory only" in said[0]
    assert sorted(os.listdir(kept.parent)) == sorted([kept.name, index.name])


def test_a_pipe_of_the_index_s_name_does_not_hold_anything_up(kept) -> None:
    index = kept.with_name(kept.name + ".evpipe-index")
    index.unlink()
    os.mkfifo(index)
    assert places(kept) == 0


def test_packed_arrays_are_read_from_their_start(tmp_path) -> None:
    t, x, y, p = some_events(300)
    np.savez_compressed(tmp_path / "a.npz", t=t, x=x, y=y, p=p)
    with opened(tmp_path / "a.npz") as reader:
        assert not reader.seekable
        assert read(reader, 12_000) == read(reader)


@pytest.mark.slow
def test_a_gigabyte_is_sought_in_less_than_50_ms(tmp_path, big_raw) -> None:
    """100 times in an indexed recording: the median and the longest time to the first packet."""
    with opened(big_raw.path) as reader:
        reader.block_bytes = 2**20
        reader.index.finish()
        assert reader.index.keep()
    source = Replay(str(big_raw.path))
    source.open()
    taken = []
    for place in np.random.default_rng(1).integers(1, big_raw.last_us // 5000, 101) * 5000:
        start = time.perf_counter()
        source.seek(int(place))
        packet = next(source.stream())
        taken.append(time.perf_counter() - start)
        assert packet.t0_us == place
        assert packet.n_events
    source.close()
    print(f"seek: median {np.median(taken[1:]) * 1e3:.1f} ms, longest {max(taken[1:]) * 1e3:.1f} ms")
    assert max(taken[1:]) < 0.05

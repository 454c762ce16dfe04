"""Every format: what is written reads back equal, whatever its times, places and cuts, and so do its bytes."""

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from evpipe.errors import RecorderError
from sensors.writers.choose import FORMATS, open_writer

# Formats with a clock of few bits: whole ranges before the first event are taken off.
CLOCK_US = {"evt3": 2**24, "mcap-evt3": 2**24, "evt2": 2**34, "evt21": 2**34, "dat": 2**32, "es": 2**28}
SIZES = [(1280, 720), (64, 48), (31, 20), (2048, 2048)]
SECOND = 1_000_000

steps = st.sampled_from([0, 0, 0, 1, 2, 63, 64, 126, 127, 128, 4095, 4096, 100_000, 2**24 - 1, 2**24, 2**24 + 20_480])
run = st.tuples(
    steps, st.integers(0, 2047), st.integers(0, 2047), st.integers(0, 1), st.integers(1, 70), st.integers(1, 3)
)
starts = st.sampled_from([0, 1, 4095, 2**24 - 1, 2**24, 2**32 - 1, 2**34 - 1, 1_700_000_000 * SECOND])


def events_of(start, runs, size):
    """Rows from runs of events along a line of the sensor at one time."""
    rows, t = [], start
    for step, x, y, p, length, gap in runs:
        t += step
        x, y = x % size[0], y % size[1]
        rows += [(t, x + k * gap, y, p) for k in range(length) if x + k * gap < size[0]]
    return rows


def write(path, name, size, rows, cuts, io):
    with open_writer(path, width=size[0], height=size[1], format=name) as writer:
        io.give(writer, rows, cuts)
    return writer


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(starts, st.lists(run, max_size=12), st.sampled_from(SIZES), st.lists(st.integers(0, 500), max_size=4))
@example(0, [], (1280, 720), [])
@example(2**24 - 1, [(0, 5, 5, 1, 1, 1)], (1280, 720), [])
@example(0, [(0, 0, 7, 1, 2048, 1), (0, 0, 7, 0, 2048, 1)], (2048, 2048), [1000])
@example(16_777_000, [(0, 3, 3, 1, 40, 1)] * 3 + [(2**24, 3, 3, 1, 40, 1)] * 3, (1280, 720), [50])
def test_written_reads_back_equal(name, io, tmp_path, start, runs, size, cuts):
    """Events, size and order are the same; times less what the notes say; equal events give equal bytes."""
    rows = events_of(start, runs, size)
    path = tmp_path / f"a{FORMATS[name].suffix}"
    if name == "csv" and not rows:
        return  # a text without lines is no recording
    writer = write(path, name, size, rows, cuts, io)
    shift = rows[0][0] // CLOCK_US[name] * CLOCK_US[name] if name in CLOCK_US and rows else 0
    found = io.read(path, size if name == "csv" else None)
    wanted = [(t - shift, *rest) for t, *rest in rows]
    assert found.events == wanted
    assert found.size == size
    assert not found.damage
    assert not [what for what in writer.notes if "stepped back" in what or "steps back" in what]
    assert any(f"{CLOCK_US.get(name)} us" in what for what in writer.notes) == (shift != 0)
    content = path.read_bytes()
    if name != "aedat4":  # its packets follow the calls
        write(path, name, size, rows, [], io)
    else:
        write(path, name, size, rows, cuts, io)
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in ("evt3", "mcap-evt3", "es", "hdf5-ecf")])
def test_small_steps_back_in_time_are_kept(name, io, tmp_path):
    """Formats that write each time by itself keep the order of the file; those with short clocks say so."""
    rows = [(1000, 1, 1, 1), (900, 2, 1, 0), (950, 3, 1, 0), (1100, 4, 1, 1)]
    writer = write(tmp_path / "a", name, (64, 48), rows, [2], io)
    (tmp_path / "a").rename(path := tmp_path / f"a{FORMATS[name].suffix}")
    assert io.read(path, (64, 48)).events == rows
    told = sum(count for what, count in writer.notes.items() if "steps back" in what)
    assert told == (1 if name in ("evt2", "evt21", "dat") else 0)


@pytest.mark.parametrize("name", ["evt3", "mcap-evt3", "es", "hdf5-ecf"])
def test_steps_back_that_a_format_cannot_show_are_held_and_counted(name, io, tmp_path):
    """Nothing is dropped: the event gets the time before, and the count is in the notes."""
    rows = [(1000, 1, 1, 1), (900, 2, 1, 0), (950, 3, 1, 0), (1100, 4, 1, 1)]
    path = tmp_path / f"a{FORMATS[name].suffix}"
    writer = write(path, name, (64, 48), rows, [], io)
    assert [row[0] for row in io.read(path).events] == [1000, 1000, 1000, 1100]
    assert [row[1:] for row in io.read(path).events] == [row[1:] for row in rows]
    assert [count for what, count in writer.notes.items() if "with the time before" in what] == [2]


@pytest.mark.parametrize("name", FORMATS)
def test_a_pixel_outside_the_sensor_is_refused(name, io, tmp_path):
    writer = open_writer(tmp_path / "a", width=64, height=48, format=name)
    with pytest.raises(RecorderError, match="outside the sensor of 64x48"):
        writer.events(io.chunk_of([(0, 64, 0, 1)]))
    with pytest.raises(RecorderError, match="outside the sensor of 64x48"):
        writer.events(io.chunk_of([(0, 0, 48, 1)]))
    writer.close()
    writer.close()


@pytest.mark.parametrize("name", FORMATS)
def test_streams_that_a_format_lacks_are_refused(name, io, tmp_path):
    """`takes` is the truth: each of the others raises, and says so."""
    writer = open_writer(tmp_path / "a", width=64, height=48, format=name)
    for stream in {"imu", "frame", "triggers"} - writer.takes:
        with pytest.raises(RecorderError, match="holds no"):
            getattr(writer, stream)(io.edges_of([(0, 0, 1)]))
    writer.close()


@pytest.mark.parametrize(("name", "most"), [("evt3", 2048), ("evt2", 2048), ("dat", 2**14), ("aedat4", 2**15 - 1)])
def test_a_sensor_too_large_for_the_coordinates_is_refused(name, most, tmp_path):
    open_writer(tmp_path / "a", width=most, height=most, format=name).close()
    with pytest.raises(RecorderError, match=f"1 to {most} pixels"):
        open_writer(tmp_path / "a", width=most + 1, height=4, format=name)


@pytest.mark.parametrize("name", [name for name in FORMATS if not name.startswith("hdf5")])
def test_a_full_disk_is_told(name, io):
    """/dev/full refuses every byte; what is said is the file and what to do, at the latest when it is closed."""

    def record():
        with open_writer("/dev/full", width=64, height=48, format=name) as writer:
            io.give(writer, [(0, 1, 1, 1)])

    with pytest.raises(RecorderError, match=r"/dev/full.*[Ff]ree disk space") as caught:
        record()
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("name", ["evt3", "evt2", "evt21", "hdf5", "dat", "mcap-evt3", "aedat4"])
def test_trigger_edges_keep_their_times_and_channels(name, io, tmp_path):
    """Edges that come after the events of their time, as readers give them, are put in place."""
    rows = [(t, t % 60, t % 40, t & 1) for t in range(0, 40_000, 10)]
    edges = [(5, 0, 1), (5005, 3, 0), (19_985, 1, 1), (19_999, 1, 0), (20_000, 1, 1), (50_000, 2, 1)]
    path = tmp_path / f"a{FORMATS[name].suffix}"
    with open_writer(path, width=64, height=48, format=name) as writer:
        io.give(writer, rows[:2000])
        writer.triggers(io.edges_of(edges[:4]))
        io.give(writer, rows[2000:])
        writer.triggers(io.edges_of(edges[4:]))
    assert io.read(path).events == rows
    if name == "dat":
        path = tmp_path / "a_trigger.dat"
        assert writer.paths == [str(tmp_path / "a.dat"), str(path)]
    assert io.read(path).edges == edges
    assert not writer.notes


@pytest.mark.parametrize("name", ["evt3", "evt2", "dat"])
def test_edges_of_channels_without_a_number_are_counted(name, io, tmp_path):
    with open_writer(tmp_path / "a.raw", width=64, height=48, format=name) as writer:
        writer.triggers(io.edges_of([(0, 0, 1), (1, 100, 1), (2, 200, 0)]))
    assert writer.left_out == {"triggers": 2}
    assert [count for what, count in writer.notes.items() if "numbers channels" in what] == [2]


@pytest.mark.parametrize("name", FORMATS)
def test_real_events_read_back_equal(name, io, shared, tmp_path):
    """Half a million events of a camera, whose clock begins anywhere."""
    from sensors.formats.detect import open_reader

    path = tmp_path / f"a{FORMATS[name].suffix}"
    source = open_reader(str(shared / "data/faery_sdist/evt2.raw"))
    first, second = [], []
    with open_writer(path, width=source.width, height=source.height, format=name) as writer:
        for chunk in source.chunks(frozenset({"events"})):
            writer.events(chunk)
            first.append([column.copy() for column in chunk])
    back = open_reader(str(path))
    for chunk in back.chunks(frozenset({"events"})):
        y = chunk.y if not back.mirror_y else np.uint16(back.height - 1) - chunk.y
        second.append([chunk.t.copy(), chunk.x.copy(), y.copy(), chunk.p.copy()])
    back.close()
    source.close()
    t, x, y, p = (np.concatenate(column) for column in zip(*first, strict=True))
    wanted = (t - t[0] // CLOCK_US[name] * CLOCK_US[name] if name in CLOCK_US else t, x, y, p)
    assert all(np.array_equal(a, np.concatenate(b)) for a, b in zip(wanted, zip(*second, strict=True), strict=True))

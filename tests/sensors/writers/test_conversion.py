"""Conversions: what goes where, spans, streams that are left out, damage, and nothing half under a final name."""

import os

import numpy as np
import pytest

from evpipe.errors import InputError, RecorderError, UsageError
from sensors.formats.reader import FrameChunk, ImuChunk
from sensors.writers.aedat4 import Aedat4Chunks
from sensors.writers.choose import FORMATS, open_writer
from sensors.writers.conversion import Job, attempt, convert, plan
from sensors.writers.copy import Span

SECOND = 1_000_000


@pytest.fixture
def recording(io, tmp_path):
    """AEDAT4 with a second of events, ten frames, IMU samples and edges, from 100 s on."""
    path = tmp_path / "in" / "clip.aedat4"
    path.parent.mkdir()
    start = 100 * SECOND
    with Aedat4Chunks(path, 64, 48) as writer:
        for k in range(10):
            begin = start + k * 100_000
            io.give(writer, [(t, t // 1000 % 64, k, t // 1000 & 1) for t in range(begin, begin + 100_000, 1000)])
            writer.frame(FrameChunk(begin + 5, begin, begin + 10, np.full((48, 64), k, np.uint8)))
            sample = np.full((1, 3), k, np.float32)
            writer.imu(ImuChunk(np.array([begin]), sample, sample))
            writer.triggers(io.edges_of([(begin, 1, k & 1)]))
    return path


def job(source, target, name, **options):
    return plan([str(source)], str(target), name, Job("", "", "", **options))[0]


@pytest.mark.parametrize("name", FORMATS)
def test_all_that_a_format_holds_arrives(name, recording, io, tmp_path):
    """Events, and those of the other streams that it takes; the rest is counted by stream."""
    result = convert(job(recording, tmp_path / f"out{FORMATS[name].suffix}", name))
    found, given = io.read(result.paths[0]), io.read(recording)
    shift = given.events[0][0] - found.events[0][0]
    assert [(t + shift, *rest) for t, *rest in found.events] == given.events
    assert (result.written["events"], result.first_us, result.last_us) == (1000, 100 * SECOND, 101 * SECOND - 1000)
    assert result.bytes == sum(os.path.getsize(path) for path in result.paths)
    counts = {"frame": len(found.frames), "imu": len(found.imu), "triggers": len(found.edges)}
    if name == "dat":
        counts["triggers"] = len(io.read(result.paths[1]).edges)
    for stream, count in counts.items():
        assert result.written.get(stream, 0) == count
        assert result.lacking.get(stream, 0) == 10 - count
    assert (result.exit_code, result.error, result.damage) == (0, "", [])


def test_aedat4_to_aedat4_keeps_all_to_the_bit(recording, io, tmp_path):
    """Stamps and exposures of frames, IMU floats and channels of edges too."""
    result = convert(job(recording, tmp_path / "out.aedat4", None))
    found, given = io.read(result.paths[0]), io.read(recording)
    assert (found.events, found.edges) == (given.events, given.edges)
    assert [frame[:3] for frame in found.frames] == [frame[:3] for frame in given.frames]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(found.frames, given.frames, strict=True))
    assert [np.concatenate(chunk.accel).tolist() for chunk in found.imu] == [
        np.concatenate(chunk.accel).tolist() for chunk in given.imu
    ]


@pytest.mark.parametrize(
    ("span", "begin", "end"),
    [
        (Span(200_000, 500_000), 200_000, 500_000),
        (Span(100 * SECOND + 200_000, 100 * SECOND + 500_000, True, True), 200_000, 500_000),
        (Span(None, 250_500), 0, 250_500),
        (Span(999_000, None), 999_000, SECOND),
        (Span(5 * SECOND, None), SECOND, SECOND),
    ],
)
def test_a_span_is_half_open_for_every_stream(span, begin, end, recording, io, tmp_path):
    """From the first event, or as the recording counts; a frame belongs to where its exposure ends."""
    result = convert(job(recording, tmp_path / "out.aedat4", None, span=span))
    found, given = io.read(result.paths[0]), io.read(recording)
    begin, end = begin + 100 * SECOND, end + 100 * SECOND
    assert found.events == [row for row in given.events if begin <= row[0] < end]
    assert found.edges == [row for row in given.edges if begin <= row[0] < end]
    ends = [frame.end_us for frame in given.frames if begin < frame.end_us <= end]
    assert [frame.end_us for frame in found.frames] == ends
    assert result.lacking == {}


def test_only_some_streams(recording, io, tmp_path):
    """What was not asked for is not counted as left out."""
    result = convert(job(recording, tmp_path / "out.aedat4", None, only=frozenset({"events", "imu"})))
    found = io.read(result.paths[0])
    assert (len(found.events), len(found.imu), len(found.frames), len(found.edges)) == (1000, 10, 0, 0)
    assert (result.lacking, set(result.written)) == ({}, {"events", "imu"})


def test_mirrored_recordings_are_written_upright(io, tmp_path):
    """Event Stream counts rows from the bottom; what comes of it has the same picture."""
    with open_writer(tmp_path / "a.es", width=64, height=48) as writer:
        io.give(writer, [(0, 3, 5, 1)])
    result = convert(job(tmp_path / "a.es", tmp_path / "a.npz", None))
    assert io.read(result.paths[0]).events == [(0, 3, 5, 1)]


def test_the_good_part_of_a_damaged_recording_is_kept(io, tmp_path):
    """With the damage in the result, and exit code 3."""
    with open_writer(tmp_path / "a.dat", width=64, height=48) as writer:
        io.give(writer, [(t, 1, 1, 1) for t in range(100)])
    data = (tmp_path / "a.dat").read_bytes()
    (tmp_path / "cut.dat").write_bytes(data[:-5])
    result = convert(job(tmp_path / "cut.dat", tmp_path / "out.npz", None))
    assert [row[0] for row in io.read(result.paths[0]).events] == list(range(99))
    assert (result.exit_code, result.damage[0][0]) == (3, len(data) - 8)


def folder_of(path):
    return sorted(entry.name for entry in path.iterdir())


def test_what_fails_leaves_nothing(recording, io, tmp_path):
    """A recording that is none, a writer that refuses, an interruption: the folder is as before."""
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "none.raw").write_bytes(b"nothing of the kind")
    assert attempt(job(tmp_path / "none.raw", out / "a.npz", None)).exit_code == InputError.exit_code
    with open_writer(tmp_path / "jump.npz", width=64, height=48) as writer:
        io.give(writer, [(0, 1, 1, 1), (2**40, 1, 1, 1)])
    result = attempt(job(tmp_path / "jump.npz", out / "a.dat", None))
    assert result.exit_code == RecorderError.exit_code
    assert f"{out}/a.dat: time jumps" in result.error

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _interrupted(job(recording, out / "a.npz", None), stop)
    assert folder_of(out) == []


def _interrupted(one, stop):
    from sensors.writers import conversion

    copy, conversion.copy = conversion.copy, stop
    try:
        convert(one)
    finally:
        conversion.copy = copy


def test_targets_are_checked_before_anything_is_written(recording, tmp_path):
    """A target that exists, is a source, or is there twice; a folder without a format."""
    (tmp_path / "there.npz").write_bytes(b"precious")
    with pytest.raises(UsageError, match="exists"):
        job(recording, tmp_path / "there.npz", None)
    with pytest.raises(UsageError, match="is a recording to be read"):
        job(recording, recording, None, overwrite=True)
    with pytest.raises(UsageError, match="would both become"):
        plan([str(recording), "other/clip.raw"], str(tmp_path), "evt3", Job("", "", ""))
    with pytest.raises(UsageError, match="is a folder: say what to write"):
        job(recording, tmp_path, None)
    with pytest.raises(UsageError, match="takes 2 recordings"):
        plan(["a", "b"], str(tmp_path / "new.raw"), None, Job("", "", ""))
    assert (tmp_path / "there.npz").read_bytes() == b"precious"
    convert(job(recording, tmp_path / "there.npz", None, overwrite=True))
    assert (tmp_path / "there.npz").stat().st_size > 1000


def test_a_second_file_is_not_overwritten_either(recording, tmp_path):
    """The edges' file of DAT exists: nothing is put in place."""
    (tmp_path / "out_trigger.dat").write_bytes(b"precious")
    result = attempt(job(recording, tmp_path / "out.dat", None))
    assert "out_trigger.dat exists" in result.error
    assert not (tmp_path / "out.dat").exists()
    assert (tmp_path / "out_trigger.dat").read_bytes() == b"precious"


def test_several_go_to_a_folder_that_is_made(recording, tmp_path):
    """Each under its own name with the ending of the format."""
    jobs = plan([str(recording), "b.raw"], str(tmp_path / "new"), "evt2", Job("", "", ""))
    assert [one.target for one in jobs] == [str(tmp_path / "new" / "clip.raw"), str(tmp_path / "new" / "b.raw")]
    assert convert(jobs[0]).paths == [str(tmp_path / "new" / "clip.raw")]
    assert job(recording, f"{tmp_path}/x/", "csv").target == f"{tmp_path}/x/clip.csv"


def test_a_sensor_without_a_size_asks_for_one(io, tmp_path):
    source = tmp_path / "a_trigger.dat"
    source.write_bytes(b"% Version 2\n% end\n\x0e\x08" + bytes.fromhex("0500000001000000"))
    assert "Give --size HxW" in attempt(job(source, tmp_path / "b.raw", None)).error
    result = convert(job(source, tmp_path / "b.raw", None, size=(48, 64)))
    assert io.read(result.paths[0]).edges == [(5, 0, 1)]


def test_progress_is_told_in_bytes(recording, tmp_path, monkeypatch):
    """Where the reader shows how far it is, in steps that never go back."""
    monkeypatch.setattr("sensors.writers.conversion._TOLD_S", 0.0)
    told = []
    convert(job(recording, tmp_path / "a.npz", None), lambda done, total: told.append((done, total)))
    assert told
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] <= told[-1][1] == recording.stat().st_size

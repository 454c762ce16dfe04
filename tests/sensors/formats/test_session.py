"""evpipe's sessions as recordings: detected, read, sought, cut, and replayed on the grid of `Replay`."""

from __future__ import annotations

import numpy as np
import pytest

from evpipe.errors import InputError
from evpipe.packets import Events, Frame, Imu, Scores, Triggers
from evpipe.recorder.session_writer import SessionWriter
from sensors.formats.detect import open_reader
from sensors.formats.reader import EventChunk, FrameChunk, ImuChunk, TriggerChunk
from sensors.formats.session import SessionReader, open_mcap
from sensors.replay import Replay


def packets():
    """Three seconds of a camera with everything, beside a filter and a classifier."""
    generator = np.random.default_rng(4)
    empty = np.zeros(0, np.float32)
    for k in range(300):
        span = {"t0_us": k * 10_000, "t1_us": (k + 1) * 10_000, "seq": k}
        n = int(generator.integers(0, 200))
        t = np.sort(generator.integers(span["t0_us"], span["t1_us"], n))
        x, y = generator.integers(0, 40, n).astype(np.uint16), generator.integers(0, 30, n).astype(np.uint16)
        events = Events(**span, t=t, x=x, y=y, p=(x & 1).astype(np.uint8), width=40, height=30)
        yield "camera.events", events
        yield "kept.events", events[events.p == 1]
        if k % 4 == 0:
            image = generator.integers(0, 256, (30, 40)).astype(np.uint8)
            yield "camera.frame", Frame(**(span | {"t0_us": span["t1_us"] - 3000}), image=image)
        rows = generator.normal(size=(2, 3)).astype(np.float32)
        at = np.array([span["t0_us"], span["t0_us"] + 5000])
        yield "camera.imu", Imu(**span, t=at, accel=rows, gyro=-rows)
        edge = np.array([k % 2], np.uint8)
        yield "camera.triggers", Triggers(**span, t=at[:1], channel=edge, value=edge)
        yield "har.scores", Scores(**span, labels=("a",), values=rows[0, :1].copy(), attention=empty,
                                   kept=empty.astype(bool))  # fmt: skip


@pytest.fixture
def session(tmp_path):
    writer = SessionWriter(tmp_path / "a")
    for origin, packet in packets():
        writer.packet(packet, origin)
    writer.close()
    return tmp_path / "a.mcap"


def columns(chunks):
    found = [chunk for chunk in chunks if isinstance(chunk, EventChunk)]
    return [np.concatenate([getattr(chunk, name) for chunk in found]) for name in "txyp"]


def test_the_first_source_is_read(session):
    """Its four streams with all values; packets of other nodes are counted, topic by topic."""
    reader = open_reader(str(session))
    assert isinstance(reader, SessionReader)
    assert (reader.format, reader.width, reader.height) == ("SESSION", 40, 30)
    assert reader.streams == ("events", "frame", "imu", "triggers")
    chunks = list(reader.chunks())
    assert not reader.account.damage
    assert reader.account.notes == {
        "packets of other nodes, not read: /kept/events": 300,
        "packets of other nodes, not read: /har/scores": 300,
    }
    reader.close()
    written = [packet for origin, packet in packets() if origin.startswith("camera")]
    events = [packet for packet in written if isinstance(packet, Events)]
    for name, column in zip("txyp", columns(chunks), strict=True):
        assert np.array_equal(column, np.concatenate([getattr(packet, name) for packet in events]))
    frames = [chunk for chunk in chunks if isinstance(chunk, FrameChunk)]
    expected = [packet for packet in written if isinstance(packet, Frame)]
    assert [(f.start_us, f.end_us) for f in frames] == [(p.t0_us, p.t1_us) for p in expected]
    assert all(np.array_equal(f.image, p.image) for f, p in zip(frames, expected, strict=True))
    imu = [chunk for chunk in chunks if isinstance(chunk, ImuChunk)]
    accel = np.concatenate([packet.accel for packet in written if isinstance(packet, Imu)])
    assert np.array_equal(np.concatenate([chunk.accel for chunk in imu]), accel)
    assert sum(len(chunk.t) for chunk in chunks if isinstance(chunk, TriggerChunk)) == 300


def test_reading_begins_where_it_is_asked_to(session):
    """Nothing of that time or later is left out, and chunks that end before are not read."""
    reader = open_reader(str(session))
    assert reader.seekable
    whole = columns(reader.chunks(frozenset({"events"})))
    for from_us in (0, 1, 999_999, 1_000_000, 1_005_000, 2_999_999):
        t, x, *_ = columns(reader.chunks(frozenset({"events"}), from_us))
        assert np.array_equal(t[t >= from_us], whole[0][whole[0] >= from_us])
        assert np.array_equal(x[t >= from_us], whole[1][whole[0] >= from_us])
        assert len(t) == 0 or t[0] >= from_us - 10_000
    reader.close()


def test_a_cut_session_gives_its_whole_chunks_and_says_so(session, tmp_path):
    """No index at the end is needed."""
    data = session.read_bytes()
    path = tmp_path / "cut.mcap"
    path.write_bytes(data[: len(data) // 2])
    reader = open_reader(str(path))
    t = columns(reader.chunks())[0]
    whole = np.concatenate([packet.t for origin, packet in packets() if origin == "camera.events"])
    assert 1000 < len(t) < len(whole)
    assert np.array_equal(t, whole[: len(t)])
    assert "the file ends inside a record" in reader.account.damage[0].what
    reader.close()


def test_a_smaller_size_drops_and_counts(session):
    """`--size` overrides what the session says; events beyond it are lost and told."""
    reader = open_reader(str(session), (30, 20))
    chunks = list(reader.chunks())
    reader.close()
    _, x, y, _ = columns(chunks)
    assert (int(x.max()), int(y.max())) == (19, 29)
    assert "events lie outside the sensor of 20x30 pixels" in reader.account.damage[0].what


def test_replay_gives_the_recorded_packets_on_its_grid(session):
    """Events, frames, IMU samples and triggers: nothing comes too late."""
    said = []
    replay = Replay(str(session), packet_us=10_000)
    replay.context = type("Context", (), {"say": lambda self, text: said.append(text)})()
    replay.open()
    found = list(replay.stream())
    replay.close()
    written = [packet for origin, packet in packets() if origin.startswith("camera")]
    for kind, column in ((Events, "t"), (Imu, "t"), (Triggers, "t"), (Frame, "image")):
        ours = np.concatenate([getattr(packet, column) for packet in found if isinstance(packet, kind)])
        theirs = np.concatenate([getattr(packet, column) for packet in written if isinstance(packet, kind)])
        assert np.array_equal(ours, theirs), kind
    assert not [text for text in said if "late" in text]


def test_a_session_without_a_source_is_refused(tmp_path):
    """With what it has, and how to replay that."""
    writer = SessionWriter(tmp_path / "a")
    for origin, packet in packets():
        if origin == "har.scores":
            writer.packet(packet, origin)
    writer.close()
    with pytest.raises(InputError, match=r"without events, .* it has har\.scores\. Use evpipe\.recorder\.Session"):
        open_reader(str(tmp_path / "a.mcap"))


def test_mcap_files_of_ros_are_still_read_as_such(session, tmp_path):
    """Who wrote the file decides: renamed, the same file is ROS's."""
    other = tmp_path / "ros.mcap"
    other.write_bytes(session.read_bytes().replace(b"\x06\0\0\0evpipe", b"\x06\0\0\0others", 1))
    reader = open_mcap(str(other), other.open("rb"))
    assert reader.format == "MCAP"
    t = columns(chunk for chunk in reader.chunks() if isinstance(chunk, EventChunk))[0]
    assert len(t) == sum(len(packet) for origin, packet in packets() if origin == "camera.events")
    reader.close()

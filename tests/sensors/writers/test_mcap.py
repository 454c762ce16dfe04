"""MCAP files: what the libraries of MCAP and ROS make of them, packets, frames, stamps."""

import sys

import numpy as np
import pytest

from evpipe.errors import RecorderError
from sensors.formats.reader import FrameChunk
from sensors.writers.mcap import PACKET_EVENTS, PACKET_US, McapWriter

mcap_reader = pytest.importorskip("mcap.reader")
START = 1_700_000_000_000_000
ROWS = [(START + 7 * t, t % 640, t % 480, t & 1) for t in range(10_000)]
IMAGE = np.arange(12, dtype=np.uint8).reshape(3, 4)
COLOURS = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)


@pytest.fixture(params=["mono", "evt3"])
def recording(request, io, tmp_path):
    """Events and two frames in one of the codings."""
    path = tmp_path / "a.mcap"
    with McapWriter(path, 640, 480, request.param) as writer:
        writer.frame(FrameChunk(START + 10, START, START + 20, IMAGE))
        io.give(writer, ROWS, [3000])
        writer.frame(FrameChunk(START + 60_000, START + 60_000, START + 60_000, COLOURS))
    return path, writer, request.param


def test_frames_and_events_read_back_on_one_clock(recording, io):
    """Frames keep their distance to the events, whichever clock those have."""
    path, writer, coding = recording
    found = io.read(path)
    shift = ROWS[0][0] - found.events[0][0]
    assert shift == (0 if coding == "mono" else START // 2**24 * 2**24)
    assert [(t + shift, *rest) for t, *rest in found.events] == ROWS
    assert [frame.t_us + shift for frame in found.frames] == [START + 10, START + 60_000]
    assert [frame.image.tolist() for frame in found.frames] == [IMAGE.tolist(), COLOURS.tolist()]
    assert [count for what, count in writer.notes.items() if "exposure" in what] == [1]


def test_the_mcap_library_reads_it_through_its_index(recording):
    """Topics, types, times in ns, and as many messages as its statistics say."""
    path, _, _ = recording
    with path.open("rb") as file:
        reader = mcap_reader.make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        messages = list(reader.iter_messages())
    assert {channel.topic for channel in summary.channels.values()} == {"/event_camera/events", "/event_camera/image"}
    assert summary.statistics.message_count == len(messages)
    assert summary.chunk_indexes
    times = [message.log_time for _, channel, message in messages if channel.topic.endswith("events")]
    assert times == sorted(times)
    assert times[0] // 1000 in range(START, START + PACKET_US)
    assert [schema.name for schema in summary.schemas.values()] == [
        "sensor_msgs/msg/Image",
        "event_camera_msgs/msg/EventPacket",
    ]


def test_rosbags_reads_the_messages(recording):
    """Its own reader finds the types in the file's schemas, and every field of every message."""
    pytest.importorskip("rosbags")
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    path, _, coding = recording
    store = get_typestore(Stores.LATEST)
    with path.open("rb") as file:
        messages = list(mcap_reader.make_reader(file).iter_messages())
    schema = next(schema for schema, _, _ in messages if schema.name.startswith("event"))
    definition = schema.data.decode().split("=" * 80)[0]
    store.register(get_types_from_msg(definition, "event_camera_msgs/msg/EventPacket"))
    packets = [store.deserialize_cdr(m.data, s.name) for s, _, m in messages if s.name.startswith("event")]
    images = [store.deserialize_cdr(m.data, s.name) for s, _, m in messages if s.name.startswith("sensor")]
    assert [packet.seq for packet in packets] == list(range(len(packets)))
    assert {(p.width, p.height, p.encoding, p.is_bigendian) for p in packets} == {(640, 480, coding, False)}
    assert [(i.encoding, i.width, i.height, i.step) for i in images] == [("mono8", 4, 3, 4), ("rgb8", 4, 3, 12)]
    assert images[0].data.tolist() == IMAGE.reshape(-1).tolist()
    assert images[0].header.stamp.sec * 10**6 + images[0].header.stamp.nanosec // 1000 == START + 10
    if coding == "mono":
        words = np.concatenate([packet.events for packet in packets]).view("<u8")
        base = np.repeat([packet.time_base for packet in packets], [len(packet.events) // 8 for packet in packets])
        t = (base + (words & np.uint64(0xFFFFFFFF)).astype(np.int64)) // 1000
        assert t.tolist() == [row[0] for row in ROWS]
        assert (words >> np.uint64(32) & np.uint64(0xFFFF)).tolist() == [row[1] for row in ROWS]


@pytest.mark.parametrize("coding", ["mono", "evt3"])
def test_packets_are_short_and_begin_alone(coding, io, tmp_path):
    """None spans more than 10 ms or has more than 65536 events; each of EVT3 begins with time and row."""
    rows = [(20_000, k % 640, k % 480, 1) for k in range(2 * PACKET_EVENTS + 5)] + [
        (29_999, 1, 1, 1),
        (30_000, 2, 1, 0),
    ]
    with McapWriter(tmp_path / "a.mcap", 640, 480, coding) as writer:
        io.give(writer, rows, [100])
    with (tmp_path / "a.mcap").open("rb") as file:
        data = [message.data for _, _, message in mcap_reader.make_reader(file).iter_messages()]
    assert len(data) == 4
    assert io.read(tmp_path / "a.mcap").events == rows
    if coding == "evt3":
        for packet in data:
            words = np.frombuffer(packet[packet.index(b"evt3") + 12 :][:6], "<u2") >> 12
            assert words.tolist() in ([8, 6, 0], [8, 8, 6])


def test_a_packet_lost_costs_only_its_events(io, tmp_path):
    """EVT3: the packets after a lost one decode to their own rows and times, also over a wrap of the clock."""
    from mcap.writer import Writer

    rows = [(t, t // 5000 % 640, 7, 1) for t in range(2**24 - 30_000, 2**24 + 30_000, 500)]
    with McapWriter(tmp_path / "a.mcap", 640, 480, "evt3") as writer:
        io.give(writer, rows)
    with (tmp_path / "a.mcap").open("rb") as file, (tmp_path / "b.mcap").open("wb") as out:
        copy = Writer(out)
        copy.start("ros2", "")
        for k, (schema, channel, message) in enumerate(mcap_reader.make_reader(file).iter_messages()):
            if k == 0:
                id_ = copy.register_channel(channel.topic, "cdr", copy.register_schema(schema.name, "ros2msg", b""))
            if k != 3:
                copy.add_message(id_, message.log_time, message.data, message.publish_time)
        copy.finish()
    lost = {(2**24 - 30_000) // PACKET_US + 3}
    assert io.read(tmp_path / "b.mcap").events == [row for row in rows if row[0] // PACKET_US not in lost]


@pytest.mark.parametrize("t", [-1, 2**31 * 10**6])
def test_times_that_a_stamp_cannot_hold_are_refused(t, io, tmp_path):
    with McapWriter(tmp_path / "a.mcap", 64, 48) as writer, pytest.raises(RecorderError, match="stamps of ROS hold"):
        io.give(writer, [(t, 1, 1, 1)])


def test_the_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mcap.writer", None)
    with pytest.raises(RecorderError, match="pip install mcap"):
        McapWriter(tmp_path / "a.mcap", 64, 48)

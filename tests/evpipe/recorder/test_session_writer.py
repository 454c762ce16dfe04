"""When chunks close and files turn over, and what stands in a file besides its packets."""

from __future__ import annotations

import numpy as np
import pytest

from evpipe.packets import Events, Tensor
from evpipe.recorder.session_file import SessionFile
from evpipe.recorder.session_writer import CHUNK_BYTES, CHUNK_US, SessionWriter, files_of


def events(t0_us, n=10, span_us=5000, epoch=0):
    t = np.linspace(t0_us, t0_us + span_us - 1, n).astype(np.int64)
    x = np.random.default_rng(t0_us).integers(0, 640, n).astype(np.uint16)
    return Events(t0_us=t0_us, t1_us=t0_us + span_us, t=t, x=x, y=x // 2, p=(x & 1).astype(np.uint8), width=640,
                  height=480, epoch=epoch)  # fmt: skip


def write(stem, packets, **how):
    writer = SessionWriter(stem, **how)
    for packet in packets:
        writer.packet(packet, "camera.events")
    writer.close()


def spans(path):
    """First and last time of each chunk in us, and the times of the packets."""
    file = SessionFile(str(path))
    chunks = [(chunk.first_ns // 1000, chunk.last_ns // 1000) for chunk in file.scan.chunks]
    times = [packet.t1_us for _, _, packet, _ in file.packets(frozenset({"camera"}))]
    assert not file.account.damage
    file.close()
    return chunks, times


def test_chunks_close_by_sensor_time(tmp_path):
    """None spans half a second; the first packet, after which nobody knows when the next comes, waits for none."""
    write(tmp_path / "a", [events(k * 5000) for k in range(1000)])
    chunks, times = spans(tmp_path / "a.mcap")
    assert times == [5000 * (k + 1) for k in range(1000)]
    assert chunks[0] == (5000, 5000)
    assert all(last - first < CHUNK_US for first, last in chunks)
    assert 10 <= len(chunks) <= 13


def test_chunks_close_by_size(tmp_path):
    """One that reaches 4 MiB is written with the packet that filled it."""
    write(tmp_path / "a", [events(k * 5000, 100_000) for k in range(14)])
    chunks, _ = spans(tmp_path / "a.mcap")
    per_chunk = -(-CHUNK_BYTES // 800_000)
    assert [(last - first) // 5000 + 1 for first, last in chunks] == [1, per_chunk, per_chunk, 1]


def test_a_rare_packet_is_written_at_once(tmp_path):
    """A port that speaks every few seconds must not keep its last word in memory until the next."""
    writer = SessionWriter(tmp_path / "a")
    for k in range(3):
        writer.packet(events(k * 3_000_000), "camera.events")
        file = SessionFile(str(tmp_path / "a.mcap"))
        assert len([*file.packets(frozenset({"camera"}))]) == k + 1
        file.close()
    writer.close()


def test_rotation_by_time_and_by_size(tmp_path):
    """Files of their own, numbered from 000, each whole; every packet in exactly one of them, in order."""
    packets = [events(k * 5000, 2000) for k in range(400)]
    write(tmp_path / "time", packets, rotate_us=500_000)
    write(tmp_path / "size", packets, rotate_bytes=400_000, about={"graph": "evpipe: 1\n"})
    for stem, count in (("time", 4), ("size", 3)):
        files = files_of(tmp_path / stem)
        assert [path.name for path in files[:2]] == [f"{stem}_000.mcap", f"{stem}_001.mcap"]
        assert len(files) >= count
        times = [spans(path)[1] for path in files]
        assert [t for each in times for t in each] == [packet.t1_us for packet in packets]
    assert all(each[-1] - each[0] < 500_000 for each in (spans(path)[1] for path in files_of(tmp_path / "time")))
    sizes = [path.stat().st_size for path in files_of(tmp_path / "size")]
    assert all(400_000 <= size < 400_000 + CHUNK_BYTES for size in sizes[:-1])
    file = SessionFile(str(tmp_path / "size_002.mcap"))
    assert file.scan.attachments[0].data == b"evpipe: 1\n"
    file.close()


def test_a_seek_begins_the_next_file(tmp_path):
    """A file holds one run of time, so that its times never step back; also after the file was finished."""
    writer = SessionWriter(tmp_path / "a")
    for epoch, begin in ((0, 0), (1, 500_000), (2, 0)):
        for k in range(3):
            writer.packet(events(begin + k * 5000, epoch=epoch), "camera.events")
        if epoch == 1:
            writer.close()
    writer.close()
    files = files_of(tmp_path / "a")
    assert [path.name for path in files] == ["a.mcap", "a_001.mcap", "a_002.mcap"]
    assert [spans(path)[1][0] for path in files] == [5000, 505_000, 5000]


def test_equal_packets_are_equal_bytes(tmp_path, recorded):
    """Of every kind, whatever the name of the file."""
    for name in ("a", "b"):
        writer = SessionWriter(tmp_path / name, {"version": "1"})
        for origin, packet in recorded:
            writer.packet(packet, origin)
        writer.close()
    assert (tmp_path / "a.mcap").read_bytes() == (tmp_path / "b.mcap").read_bytes()


def test_topics_say_node_port_and_size(session):
    """`/node/port`, and of events the size of the sensor, so that a reader need not look for it."""
    file = SessionFile(str(session))
    about = {channel.topic: channel.about for channel in file.scan.channels.values()}
    assert about["/camera/events"] == {"node": "camera", "port": "events", "width": "64", "height": "48"}
    assert about["/har/scores"] == {"node": "har", "port": "scores"}
    assert file.scan.metadata["evpipe"] == {"form": "1", "version": "1"}
    assert file.scan.profile == "ros2"
    file.close()


def test_a_packet_larger_than_a_chunk(tmp_path, equal):
    """It is a chunk of its own."""
    tensor = Tensor(t0_us=0, t1_us=1, values=np.arange(2**21, dtype=np.float32), axes="T", edges_us=np.zeros(0, int))
    writer = SessionWriter(tmp_path / "a")
    writer.packet(tensor, "bins.tensor")
    writer.packet(tensor, "bins.tensor")
    writer.close()
    file = SessionFile(str(tmp_path / "a.mcap"))
    assert len(file.scan.chunks) == 2
    equal([packet for _, _, packet, _ in file.packets(frozenset({"bins"}))], [tensor, tensor])
    file.close()


def test_files_of_a_session_are_told_from_others(tmp_path):
    """Numbered ones of this name only."""
    for name in ("a.mcap", "a_000.mcap", "a_1000.mcap", "ab.mcap", "a_12.mcap", "a_x.mcap", "a.jsonl"):
        (tmp_path / name).touch()
    assert [path.name for path in files_of(tmp_path / "a")] == ["a.mcap", "a_000.mcap", "a_1000.mcap"]
    assert files_of(tmp_path / "none" / "a") == []


@pytest.mark.slow
def test_speed_of_a_core(tmp_path):
    """At least 20 Mev/s of events in packets of 5 ms on an idle core; a third of it is asked for on a busy one."""
    import time

    packets = [events(k * 5000, 100_000) for k in range(60)]
    begin = time.process_time()
    write(tmp_path / "a", packets)
    assert 6e6 / (time.process_time() - begin) > 7e6

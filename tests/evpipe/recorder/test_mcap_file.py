"""The container as others read it, and what happens when the disk says no."""

import io
import os
import struct
import subprocess
import sys
import zlib

import pytest

from evpipe.errors import RecorderError
from evpipe.recorder import mcap_file
from evpipe.recorder.mcap_file import McapFile


def written(path, messages=400):
    file = McapFile(str(path), profile="ros2", library="evpipe")
    file.metadata("about", {"a": "1", "b": "zwei"})
    file.attachment("graph.yaml", "application/yaml", b"evpipe: 1\n")
    schema = file.schema("x/msg/T", "ros2msg", b"uint8[] data\n")
    channels = [file.channel(f"/n/{k}", schema, "cdr", {"node": "n"}) for k in range(3)]
    for k in range(messages):
        file.message(channels[k % 3], k, 1000 * k, 1000 * k - k % 7, [bytes([k % 256]) * (k % 50), b"end"])
        if k % 100 == 99:
            file.end_chunk()
    file.close()
    return path


def test_the_mcap_library_reads_it(tmp_path):
    """With sums checked, by the index and without it: every message, texts, attachment, counts, times."""
    reading = pytest.importorskip("mcap.reader")
    data = written(tmp_path / "a.mcap").read_bytes()
    contents = [bytes([k % 256]) * (k % 50) + b"end" for k in range(400)]
    expected = [(f"/n/{k % 3}", k, 1000 * k, 1000 * k - k % 7, content) for k, content in enumerate(contents)]
    for kind in (reading.SeekingReader, reading.NonSeekingReader):
        reader = kind(io.BytesIO(data), validate_crcs=True)
        rows = [(c.topic, m.sequence, m.log_time, m.publish_time, m.data) for _, c, m in reader.iter_messages()]
        assert rows == expected
    reader = reading.make_reader(io.BytesIO(data), validate_crcs=True)
    statistics = reader.get_summary().statistics
    assert (statistics.message_count, statistics.chunk_count, statistics.schema_count) == (400, 4, 1)
    assert statistics.channel_message_counts == {1: 134, 2: 133, 3: 133}
    assert (statistics.message_start_time, statistics.message_end_time) == (0, 399_000)
    assert [(one.name, one.metadata) for one in reader.iter_metadata()] == [("about", {"a": "1", "b": "zwei"})]
    assert [(one.name, one.data) for one in reader.iter_attachments()] == [("graph.yaml", b"evpipe: 1\n")]
    late = [m.sequence for _, _, m in reader.iter_messages(topics=["/n/1"], starting_at=250_000)]
    assert late == [k for k in range(250, 400) if k % 3 == 1]


def test_the_index_leads_to_each_message(tmp_path):
    """Places of chunks, of the index behind each, and of every message in it; the sum of the summary is right."""
    reading = pytest.importorskip("mcap.reader")
    zstandard = pytest.importorskip("zstandard")
    data = written(tmp_path / "a.mcap").read_bytes()
    summary = reading.make_reader(io.BytesIO(data)).get_summary()
    count = 0
    for chunk in summary.chunk_indexes:
        begin = chunk.chunk_start_offset + chunk.chunk_length
        packed = data[begin - chunk.compressed_size : begin]
        inner = zstandard.decompress(packed)
        assert len(inner) == chunk.uncompressed_size
        for channel, at in chunk.message_index_offsets.items():
            kind, _, number, size = struct.unpack_from("<BQHI", data, at)
            assert (kind, number) == (7, channel)
            for log_ns, place in struct.iter_unpack("<QQ", data[at + 15 : at + 15 + size]):
                assert struct.unpack_from("<BQHIQ", inner, place)[::2] == (5, channel, log_ns)
                count += 1
    assert count == 400
    start, _, crc = struct.unpack("<QQI", data[-28:-8])
    assert zlib.crc32(data[start:-12]) == crc


def test_a_chunk_is_on_disk_when_it_is_closed(tmp_path):
    """What `end_chunk` was called for is in the file, before any `close`."""
    from evpipe.recorder.mcap_scan import McapScan
    from sensors.formats.reader import Account

    file = McapFile(str(tmp_path / "a.mcap"))
    channel = file.channel("/t", file.schema("T", "", b""), "", {})
    file.message(channel, 1, 5, 5, [b"kept"])
    file.end_chunk()
    file.message(channel, 2, 6, 6, [b"not yet"])
    scan = McapScan(str(tmp_path / "a.mcap"))
    assert [bytes(m.data) for found in scan.messages(Account()) for m in found] == [b"kept"]
    assert not scan.complete
    scan.close()
    file.close()


def test_a_message_that_no_reader_would_take_is_refused(tmp_path, monkeypatch):
    """Its size and the limit are told; one that only fills the chunk begins another."""
    monkeypatch.setattr(mcap_file, "MAX_CHUNK_BYTES", 100)
    file = McapFile(str(tmp_path / "a.mcap"))
    channel = file.channel("/t", 0, "", {})
    file.message(channel, 1, 5, 5, [bytes(60)])
    file.message(channel, 2, 6, 6, [bytes(60)])
    with pytest.raises(RecorderError, match=r"a packet of 122 bytes came; one of a recording has at most 100"):
        file.message(channel, 3, 7, 7, [bytes(100)])
    file.close()
    assert len(file._chunks) == 2


def test_an_existing_file_and_a_missing_folder(tmp_path):
    """Nothing is overwritten; the path and the reason are told."""
    (tmp_path / "a.mcap").write_bytes(b"precious")
    with pytest.raises(RecorderError, match=r"a\.mcap: File exists; choose another folder"):
        McapFile(str(tmp_path / "a.mcap"))
    with pytest.raises(RecorderError, match="No such file or directory"):
        McapFile(str(tmp_path / "no" / "a.mcap"))


LIMITED = """
import resource, sys
from evpipe.errors import RecorderError
from evpipe.recorder.mcap_file import McapFile
import signal, os
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
file = McapFile(sys.argv[1])
channel = file.channel("/t", 0, "", {})
try:
    for k in range(1000):
        file.message(channel, k, k, k, [os.urandom(500)])
        file.end_chunk()
except RecorderError as error:
    print(k, error)
file.close()
"""


def test_a_full_disk_is_told_and_what_was_written_is_readable(tmp_path):
    """The file, the byte, the reason, what to do; every chunk before it is there, and `close` adds nothing."""
    from evpipe.recorder.mcap_scan import McapScan
    from sensors.formats.reader import Account

    path = tmp_path / "a.mcap"
    done = subprocess.run([sys.executable, "-c", LIMITED, path], capture_output=True, text=True, check=True)
    number, said = done.stdout.split(" ", 1)
    assert f"{path}: byte 1" in said
    assert "cannot be written: File too large. What was written before stays readable" in said
    assert path.stat().st_size == 20_000
    scan = McapScan(str(path))
    assert [m.sequence for found in scan.messages(Account()) for m in found] == list(range(int(number)))
    scan.close()


def test_equal_calls_give_equal_bytes(tmp_path):
    """No host time, no path, no random number."""
    first, second = (written(tmp_path / name).read_bytes() for name in ("a.mcap", "b.mcap"))
    assert first == second
    assert os.path.getsize(tmp_path / "a.mcap") < 20_000
    assert zlib.crc32(first[-8:]) == zlib.crc32(mcap_file.MAGIC)

"""Reading forward: cut anywhere, damaged anywhere, written by others, made to harm."""

import io
import struct

import numpy as np
import pytest

from evpipe.errors import InputError
from evpipe.recorder.mcap_file import MAGIC, record, text
from evpipe.recorder.mcap_scan import McapScan
from sensors.formats.reader import Account


def read(path):
    """(sequences of all messages, what was lost, whether the end is there)."""
    scan = McapScan(str(path))
    account = Account()
    found = [message.sequence for part in scan.messages(account) for message in part]
    scan.close()
    return found, [one.what for one in scan.damage.damage + account.damage], scan.complete


@pytest.fixture
def file(tmp_path):
    """(bytes of a small file, places of its chunks, number of messages in each)."""
    from evpipe.recorder.mcap_file import McapFile

    out = McapFile(str(tmp_path / "whole.mcap"), profile="ros2", library="evpipe")
    out.attachment("graph.yaml", "text/plain", b"x" * 30)
    channel = out.channel("/n/p", out.schema("T", "ros2msg", b"uint8 a\n"), "cdr", {"node": "n"})
    for k in range(20):
        out.message(channel, k, k * 1000, k * 1000, [bytes([k]) * 9])
        if k % 5 == 4:
            out.end_chunk()
    out.close()
    scan = McapScan(str(tmp_path / "whole.mcap"))
    ends = [chunk.offset + 9 + chunk.size for chunk in scan.chunks]
    scan.close()
    return (tmp_path / "whole.mcap").read_bytes(), ends


def test_cut_at_every_byte_all_whole_chunks_are_there(file, tmp_path):
    """Whatever the place of the cut: the messages of the chunks before it, and the loss is told."""
    data, ends = file
    end_of_data = data.rindex(record(15, bytes(4))) + 13
    path = tmp_path / "cut.mcap"
    for k in range(len(MAGIC), len(data)):
        path.write_bytes(data[:k])
        found, damage, complete = read(path)
        assert found == list(range(5 * sum(end <= k for end in ends))), k
        assert complete == (k >= end_of_data)
        assert bool(damage) == (not complete), k
    for k in range(len(MAGIC)):
        path.write_bytes(data[:k])
        with pytest.raises(InputError, match="is no MCAP file"):
            McapScan(str(path))


def test_a_changed_byte_costs_its_chunk_at_most(file, tmp_path):
    """500 changed bytes: no message is changed, and what is missing is told."""
    data, ends = file
    generator, path = np.random.default_rng(5), tmp_path / "changed.mcap"
    for _ in range(500):
        k = int(generator.integers(len(MAGIC), ends[-1]))
        changed = bytearray(data)
        changed[k] ^= int(generator.integers(1, 256))
        path.write_bytes(changed)
        found, damage, _ = read(path)
        assert set(found) <= set(range(20))
        assert found == sorted(found)
        if len(found) < 20:
            assert damage, k


@pytest.mark.parametrize("compression", ["ZSTD", "LZ4", "NONE"])
@pytest.mark.parametrize("chunked", [True, False])
def test_files_of_the_mcap_library_are_read(tmp_path, compression, chunked):
    """Its topics stand inside its chunks, or its messages in no chunk at all."""
    writing = pytest.importorskip("mcap.writer")
    path = tmp_path / "a.mcap"
    with path.open("wb") as out:
        writer = writing.Writer(out, 1000, writing.CompressionType[compression], use_chunking=chunked)
        writer.start()
        schema = writer.register_schema("T", "ros2msg", b"x")
        channel = writer.register_channel("/t", "cdr", schema)
        for k in range(200):
            writer.add_message(channel, k, bytes([k]) * 20, k, k)
        writer.finish()
    assert read(path) == (list(range(200)), [], True)
    scan = McapScan(str(path))
    assert scan.channels[channel].topic == "/t"
    assert len(scan.chunks) > 2 * chunked or not chunked
    scan.close()


def test_reading_begins_at_the_chunk_that_reaches_into_the_range(file, tmp_path):
    """Chunks that end before are passed over unread."""
    scan = McapScan(str(tmp_path / "whole.mcap"))
    found = [message.sequence for part in scan.messages(Account(), 12_000) for message in part]
    scan.close()
    assert found == list(range(10, 20))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (record(6, struct.pack("<QQQI", 0, 0, 2**40, 0) + text("zstd") + struct.pack("<Q", 0)), "too many to hold"),
        (record(6, struct.pack("<QQQI", 0, 0, 9, 0) + text("zstd") + struct.pack("<Q", 2**60)), "bytes are said"),
        (record(6, struct.pack("<QQQI", 0, 0, 9, 0) + text("brotli") + struct.pack("<Q", 0)), "'brotli'"),
        (record(6, b"short"), "bytes are said"),
        (struct.pack("<BQ", 6, 2**63), "ends inside a record"),
        (struct.pack("<BQ", 3, 2**25) + bytes(2**25), "too many to hold"),
        (record(4, struct.pack("<HHI", 1, 1, 2**31)), "bytes are said"),
        (record(200, b"") + bytes(100), "no record begins here"),
    ],
)
def test_hostile_sizes_are_told_and_nothing_is_allocated(tmp_path, body, said):
    """Said sizes are checked before memory is taken for them."""
    path = tmp_path / "a.mcap"
    path.write_bytes(MAGIC + record(1, text("") + text("")) + body)
    _, damage, _ = read(path)
    assert any(said in what for what in damage), damage


def test_a_bomb_is_not_unpacked(tmp_path):
    """A chunk that says 100 bytes and unpacks to 1 GiB is left out."""
    zstandard = pytest.importorskip("zstandard")
    buffer = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(buffer, closefd=False) as stream:
        for _ in range(1024):
            stream.write(bytes(2**20))
    packed = buffer.getvalue()
    head = struct.pack("<QQQI", 0, 0, 100, 0) + text("zstd") + struct.pack("<Q", len(packed))
    path = tmp_path / "a.mcap"
    path.write_bytes(MAGIC + record(1, text("") + text("")) + record(6, head + packed))
    assert "grows beyond" in read(path)[1][-1]

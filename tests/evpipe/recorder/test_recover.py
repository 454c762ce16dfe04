"""A cut or damaged file becomes a whole one with everything that was whole, and the rest is counted."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.errors import InputError, RecorderError, UsageError
from evpipe.recorder.mcap_scan import McapScan
from evpipe.recorder.recover import recover
from evpipe.recorder.session_file import SessionFile
from sensors.formats.reader import Account


def rows(path):
    """Every message of a file: topic, sequence, times, bytes; chunk ends; whether it is whole and undamaged."""
    scan, account = McapScan(str(path)), Account()
    found = [
        (scan.channels[m.channel].topic, m.sequence, m.log_ns, m.publish_ns, bytes(m.data))
        for part in scan.messages(account)
        for m in part
    ]
    ends = [chunk.offset + 9 + chunk.size for chunk in scan.chunks]
    whole = scan.complete and not account.damage and not scan.damage.damage
    scan.close()
    return found, ends, whole


def messages_before(path, cut):
    """How many messages the chunks have that end before this byte."""
    scan = McapScan(str(path))
    count = sum(len(scan.chunk(chunk)) for chunk in scan.chunks if chunk.offset + 9 + chunk.size <= cut)
    scan.close()
    return count


def cut_and_recover(session, tmp_path, cut, all_rows, decoded=True):
    """Cut the file there; it opens, and recovers to all messages of the whole chunks."""
    data = session.read_bytes()
    path, out = tmp_path / "cut.mcap", tmp_path / "out.mcap"
    path.write_bytes(data[:cut])
    count = messages_before(session, cut)
    if decoded:
        file = SessionFile(str(path))
        assert sum(1 for _ in file.packets(frozenset(file.ports))) == count
        file.close()
    found = recover(str(path), str(out), force=True)
    assert found.messages == count
    again, _, whole = rows(out)
    assert whole
    assert again == all_rows[:count]
    return found


def test_100_random_cuts(session, tmp_path):
    """Each opens, with all packets of the complete chunks, and recovers to a whole file of them."""
    all_rows, _, _ = rows(session)
    size, generator = session.stat().st_size, np.random.default_rng(11)
    head = 64  # the header's record, without which nothing says whose file it is
    for k, cut in enumerate(generator.integers(head, size, 100)):
        found = cut_and_recover(session, tmp_path, int(cut), all_rows, decoded=k % 5 == 0)
        assert found.whole == (found.messages == len(all_rows) and not found.missing_end)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_1000_random_cuts(tmp_path_factory, recorded, share):
    """As above, a thousand times."""
    from evpipe.recorder.session_writer import SessionWriter

    folder = tmp_path_factory.mktemp("cuts", numbered=True)
    writer = SessionWriter(folder / "a")
    for origin, packet in recorded:
        writer.packet(packet, origin)
    writer.close()
    session = folder / "a.mcap"
    cut = 64 + int(share * (session.stat().st_size - 64))
    cut_and_recover(session, folder, cut, rows(session)[0])
    for path in folder.iterdir():
        path.unlink()


def test_a_whole_session_recovers_to_the_same_bytes(session, tmp_path):
    """Nothing was lost, nothing is changed."""
    found = recover(str(session), str(tmp_path / "out.mcap"))
    assert found.whole
    assert (found.lost_bytes, found.lost_chunks, found.damage) == (0, 0, [])
    assert (tmp_path / "out.mcap").read_bytes() == session.read_bytes()


def test_a_file_without_its_index_only_is_whole(session, tmp_path):
    """The mark of the end is there: nothing is lost, and the new file is the one that was."""
    data = session.read_bytes()
    (tmp_path / "cut.mcap").write_bytes(data[:-200])
    found = recover(str(tmp_path / "cut.mcap"), str(tmp_path / "out.mcap"))
    assert found.whole
    assert (tmp_path / "out.mcap").read_bytes() == data


def test_a_damaged_chunk_is_left_out_and_counted(session, tmp_path):
    """The index behind it tells how many messages it had; all others are kept."""
    data, (all_rows, ends, _) = bytearray(session.read_bytes()), rows(session)
    data[ends[2] - 100] ^= 0x55
    (tmp_path / "cut.mcap").write_bytes(data)
    found = recover(str(tmp_path / "cut.mcap"), str(tmp_path / "out.mcap"))
    assert (found.lost_chunks, found.missing_end, found.whole) == (1, False, False)
    assert found.messages + found.lost_messages == len(all_rows)
    assert found.lost_messages > 100
    assert "a chunk is damaged" in found.damage[0].what
    again, _, whole = rows(tmp_path / "out.mcap")
    assert whole
    assert set(again) < set(all_rows)


def test_the_mcap_library_reads_what_was_recovered(session, tmp_path):
    """With its sums checked, by its index."""
    reading = pytest.importorskip("mcap.reader")
    data = session.read_bytes()
    (tmp_path / "cut.mcap").write_bytes(data[: len(data) * 2 // 3])
    found = recover(str(tmp_path / "cut.mcap"), str(tmp_path / "out.mcap"))
    reader = reading.SeekingReader(io.BytesIO((tmp_path / "out.mcap").read_bytes()), validate_crcs=True)
    theirs = [(c.topic, m.sequence, m.log_time, m.publish_time, m.data)
              for _, c, m in reader.iter_messages(log_time_order=False)]  # fmt: skip
    assert theirs == rows(tmp_path / "out.mcap")[0]
    assert len(theirs) == found.messages > 100


def test_mcap_files_of_others_are_recovered(tmp_path):
    """Messages in no chunk, and topics that stand inside of chunks."""
    writing = pytest.importorskip("mcap.writer")
    for chunked in (True, False):
        buffer = io.BytesIO()
        writer = writing.Writer(buffer, 1000, use_chunking=chunked)
        writer.start("ros2", "others")
        channel = writer.register_channel("/t", "cdr", writer.register_schema("T", "ros2msg", b"x"))
        for k in range(300):
            writer.add_message(channel, k, bytes([k % 256]) * 30, k)
        writer.finish()
        path = tmp_path / f"{chunked}.mcap"
        path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 3])
        found = recover(str(path), str(tmp_path / f"{chunked}.out"))
        assert found.missing_end
        assert rows(tmp_path / f"{chunked}.out")[0] == rows(path)[0]
        assert found.messages == len(rows(path)[0]) > 20


def test_what_cannot_be_done_is_told(session, tmp_path):
    """An existing target, the file itself, a folder that is not there, no MCAP file; nothing is left half done."""
    (tmp_path / "there").write_bytes(b"precious")
    with pytest.raises(UsageError, match=r"there exists; give another path, or --force"):
        recover(str(session), str(tmp_path / "there"))
    assert (tmp_path / "there").read_bytes() == b"precious"
    with pytest.raises(UsageError, match="is the file that is to be recovered"):
        recover(str(session), str(session), force=True)
    with pytest.raises(RecorderError, match="No such file or directory"):
        recover(str(session), str(tmp_path / "no" / "x.mcap"))
    with pytest.raises(InputError, match="is no MCAP file"):
        recover(str(tmp_path / "there"), str(tmp_path / "x.mcap"))
    with pytest.raises(InputError, match="cannot be opened: No such file"):
        recover(str(tmp_path / "none"), str(tmp_path / "x.mcap"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mcap", "there"]

"""Following a recording that another process is still writing: torn pieces, delay, its end, cuts and replacement."""

import subprocess
import sys
import time

import numpy as np
import pytest

from evpipe.errors import InputError
from evpipe.packets import Events, Mark
from sensors.formats.detect import open_reader
from sensors.formats.follow import Follow
from sensors.formats.reader import IDLE, EventChunk
from sensors.replay import Replay
from tests.sensors.formats.small_files import SIZE, some_events, write

FOLLOWED = ("evt2", "evt21", "evt3", "evt4", "dat", "es", "aedat2", "aedat3", "text", "mcap")
# Appends the rest of a file in pieces of these many bytes, each in two halves that a reader sees apart.
APPEND = """
import sys, time
whole, path, first, piece, pause = sys.argv[1], sys.argv[2], *map(float, sys.argv[3:])
data = open(whole, "rb").read()
at = int(first)
with open(path, "ab", buffering=0) as file:
    while at < len(data):
        half = int(piece) // 2 + 1
        file.write(data[at : at + half])
        file.write(data[at + half : at + int(piece)])
        at += int(piece)
        print(time.monotonic(), flush=True)
        time.sleep(pause)
"""


def appending(whole, path, first, piece, pause):
    """A process that writes the rest of `whole` to `path`, which has `first` bytes of it."""
    path.write_bytes(whole.read_bytes()[:first])
    words = [str(whole), str(path), *map(str, (first, piece, pause))]
    return subprocess.Popen([sys.executable, "-c", APPEND, *words], stdout=subprocess.PIPE, text=True)


def events_of(chunks):
    parts = [[column.copy() for column in chunk] for chunk in chunks if isinstance(chunk, EventChunk) and len(chunk.t)]
    return [np.concatenate(column).tolist() for column in zip(*parts, strict=True)]


@pytest.mark.parametrize("name", FOLLOWED)
def test_what_another_process_appends_in_torn_pieces_is_read_whole(name, tmp_path) -> None:
    """The same events as of the finished file, and no damage, though nothing was whole when it was first seen."""
    whole = write(name, tmp_path / "whole", some_events(3000))
    data = whole.read_bytes()
    path = tmp_path / ("a" + whole.suffix)
    with appending(whole, path, len(data) // 3, len(data) // 41 | 1, 0.005) as writer:
        reader = open_reader(str(path))
        assert reader.follows
        reader.follow = Follow(str(path), 400_000)
        followed = events_of(reader.chunks())
    reader.close()
    plain = open_reader(str(whole))
    assert followed == events_of(plain.chunks())
    plain.close()
    assert reader.account.damage == plain.account.damage == []
    assert writer.returncode == 0


def test_a_recorder_s_aedat4_is_followed_to_its_end(tmp_path) -> None:
    """It ends when the writer finishes the file, without waiting for the time of idleness."""
    path = tmp_path / "a.aedat4"
    code = (
        "import sys, time, numpy as np\n"
        "from sensors.writers.aedat4 import Aedat4Writer\n"
        "with Aedat4Writer(sys.argv[1], 20, 10) as writer:\n"
        "    for k in range(60):\n"
        "        t = 1000 * k + np.arange(50)\n"
        "        column = np.arange(50, dtype=np.uint16) % 10\n"
        "        writer.events(t, column, column, np.ones(50, np.uint8))\n"
        "        writer.flush()\n"
        "        print(k, flush=True)\n"
        "        time.sleep(0.005)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        writer.stdout.readline()
        reader = open_reader(str(path))
        reader.follow = Follow(str(path), 60_000_000)
        start = time.monotonic()
        t, *_ = events_of(reader.chunks())
        assert time.monotonic() - start < 20
        writer.stdout.read()
    reader.close()
    assert t == [1000 * k + i for k in range(60) for i in range(50)]
    assert not reader.account.damage


def test_what_is_appended_comes_within_100_ms(tmp_path) -> None:
    """From the end of a write in one process to the packet in another."""
    t = np.arange(50) * 10_000
    whole = write("dat", tmp_path / "whole", (t, t % 300, t % 200, t % 2))
    head = len(whole.read_bytes()) - 8 * len(t)
    path, arrived = tmp_path / "a.dat", []
    with appending(whole, path, head + 8, 8, 0.05) as writer:
        source = Replay(str(path), follow=True, follow_idle_us=500_000)
        source.open()
        assert source.live  # whatever the clock, it is not held back
        for packet in source.stream():
            arrived += [time.monotonic()] * packet.n_events
        wrote = [float(line) for line in writer.stdout]
    source.close()
    assert len(arrived) == len(t)
    # An event is given when the next one shows that its packet is whole; the last two, when all is over.
    late = np.array(arrived[1:-1]) - np.array(wrote[1:])
    assert np.median(late) < 0.05
    assert late.max() < 0.1


def test_idle_times_are_filled_with_marks_and_end(tmp_path) -> None:
    """While nothing is appended the stream still gives something, so that a run can be stopped; then it ends."""
    path = write("evt2", tmp_path / "a", some_events(100))
    source = Replay(str(path), follow=True, follow_idle_us=200_000)
    source.open()
    start = time.monotonic()
    packets = list(source.stream())
    taken = time.monotonic() - start
    source.close()
    assert 0.15 < taken < 2
    marks = [packet for packet in packets if isinstance(packet, Mark)]
    assert len(marks) > 3
    assert {mark.kind for mark in marks} == {"watermark"}
    assert sum(packet.n_events for packet in packets) == 100
    ends = [packet.t1_us for packet in packets]
    assert ends == sorted(ends)
    assert isinstance(packets[-1], Events)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "was cut from"),
        (lambda path: path.unlink(), "was removed"),
        (lambda path: path.with_name("b").rename(path), "was replaced"),
    ],
)
def test_a_file_that_is_no_longer_the_same_ends_the_replay(harm, said, tmp_path) -> None:
    """What was read stays valid; what happened is told, with the byte."""
    path = write("evt3", tmp_path / "a", some_events(100))
    (tmp_path / "b").write_bytes(path.read_bytes())
    size = path.stat().st_size
    source = Replay(str(path), follow=True, follow_idle_us=0)
    source.open()
    n = 0
    stream, harmed = source.stream(), False
    with pytest.raises(InputError, match=f"byte {size}.*{said}"):  # noqa: PT012 - it comes after the last packet
        for packet in stream:
            n += packet.n_events
            if isinstance(packet, Mark) and not harmed:
                harmed = True
                harm(path)
    source.close()
    assert n == 100


def test_formats_that_cannot_be_followed_say_so(tmp_path) -> None:
    """Those whose size stands at their start or end; and those of which the sensor's size would have to be guessed."""
    for name, what in (("npy", "wait for its end"), ("npz", "wait for its end"), ("hdf5", "wait for its end")):
        path = write(name, tmp_path / "a", some_events(50))
        with pytest.raises(InputError, match=f"cannot be followed.*{what}"):
            Replay(str(path), follow=True).open()
    path = tmp_path / "b.csv"
    path.write_text("t,x,y,p\n" + "".join(f"{k},{k % 99},{k % 88},1\n" for k in range(50)))
    with pytest.raises(InputError, match="give its sensor's size"):
        Replay(str(path), follow=True).open()
    source = Replay(str(path), follow=True, follow_idle_us=1, size=(SIZE[1], SIZE[0]))
    source.open()
    assert sum(packet.n_events for packet in source.stream()) == 50
    source.close()


def test_a_followed_file_that_ends_torn_is_damaged_as_ever(tmp_path) -> None:
    path = write("dat", tmp_path / "a", some_events(50))
    path.write_bytes(path.read_bytes()[:-3])
    reader = open_reader(str(path))
    reader.follow = Follow(str(path), 100_000)
    chunks = list(reader.chunks())
    reader.close()
    assert any(chunk is IDLE for chunk in chunks)
    assert "5 of its 8 bytes" in reader.account.damage[0].what

"""What a first look finds: length, a lively moment, the part of the sensor in use."""

import numpy as np

from evpipe.cli.rendering.painting import Box
from evpipe.cli.rendering.survey import survey
from sensors.formats.reader import Account, EventChunk, FrameChunk


class Stub:
    """A reader of given chunks."""

    mirror_x = mirror_y = False
    streams = ("events",)

    def __init__(self, chunks, size=(40, 30)):
        self._chunks, (self.width, self.height), self.account = chunks, size, Account()

    def chunks(self, wanted=None, from_us=None):
        self.asked = from_us
        yield from self._chunks


def chunk(times, x=5, y=5):
    t = np.array(times, np.int64)
    columns = np.broadcast_to(np.array(x, np.uint16), t.shape), np.broadcast_to(np.array(y, np.uint16), t.shape)
    return EventChunk(t, *columns, np.zeros(len(t), np.uint8))


def look(chunks, window_us=1_000, from_us=0, to_us=None, with_box=False, **reader):
    return survey(Stub(chunks, **reader), window_us, from_us, to_us, with_box=with_box)


def test_length_counts_from_the_first_event():
    """To one microsecond after the last; `from` and `to` cut it, and events outside are not counted."""
    chunks = [chunk([1_000, 2_000]), chunk([6_000, 10_999])]
    assert look(chunks)[:2] == (4, 10_000)
    assert look(chunks, from_us=4_000)[:2] == (2, 6_000)
    assert look(chunks, to_us=4_000)[:2] == (2, 4_000)
    assert look(chunks, from_us=1_000, to_us=3_000)[:2] == (1, 2_000)
    assert look(chunks, from_us=50_000).duration_us == 0
    assert look([]).duration_us == 0


def test_the_reader_is_asked_to_begin_where_it_matters():
    """A reader that can seek need not read what lies before `from`; jumps before it are not counted out."""
    reader = Stub([chunk([1_000, 2_000]), chunk([700_000_000, 700_001_000])])
    assert survey(reader, 1_000, 650_000_000, None, with_box=False).duration_us == 50_000_001
    assert reader.asked == 650_001_000


def test_a_flash_is_not_the_lively_moment():
    """Of 40 spans one is a flash and four are busy: a busy one is taken."""
    chunks = []
    for span in range(40):
        n = 5_000 if span == 3 else 200 if span in (10, 11, 12, 13) else 20
        chunks.append(chunk(span * 1_000 + np.arange(n) * 900 // n))
    assert look(chunks).lively_us in (11_000, 12_000, 13_000, 14_000)


def test_how_chunks_are_cut_does_not_matter():
    """Spans that lie over a border of chunks are counted whole."""
    rng = np.random.default_rng(1)
    times = np.sort(rng.integers(0, 100_000, 3_000))
    whole = look([chunk(times)])
    assert all(look([chunk(part) for part in np.array_split(times, n)]) == whole for n in (2, 7, 300))


def test_a_jump_of_the_clock_is_no_length():
    """13 days in one step, within a chunk or between two, do not count, and take no memory."""
    days = 13 * 86_400 * 10**6
    assert look([chunk([0, 1_000, days, days + 1_000])]).duration_us == 2_001
    assert look([chunk([0, 1_000]), chunk([days, days + 1_000])]).duration_us == 2_001


def test_the_box_holds_what_is_seen():
    """A few stray events do not widen it; a margin of a pixel is left; it stays within the sensor."""
    inside = chunk(np.arange(5_000), np.arange(5_000) % 10 + 20, np.arange(5_000) % 30)
    stray = chunk([5_000, 5_001], [0, 39], [0, 29])
    assert look([inside, stray], with_box=True).box == Box(19, 0, 31, 30)
    assert look([inside]).box is None


def test_frames_tell_the_time_where_there_are_no_events():
    frames = [FrameChunk(t, t - 5, t, np.zeros((3, 4), np.uint8)) for t in (100, 200, 300)]
    reader = Stub(frames)
    reader.streams = ("frame",)
    assert survey(reader, 1_000, 0, None, with_box=True) == (3, 201, 1_000, None)

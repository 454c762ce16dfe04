"""Labels: their words, that they can be read, and that they stay still."""

import numpy as np
import pytest

from evpipe.cli.rendering.caption import ITEMS, TEXT, Caption, speed_text, time_text
from evpipe.cli.rendering.film import Moment
from evpipe.view.palettes import PALETTES


def picture(height=480, width=640, colour=(19, 14, 11)):
    made = np.empty((height, width, 3), np.uint8)
    made[:] = colour
    return made


def moment(us, n=100):
    return Moment(us, 33_333, n, None)


@pytest.mark.parametrize(
    ("us", "slow", "text"),
    [(0, 1, "0.00 s"), (1_239_999, 1, "1.23 s"), (61_500_000, 1, "1:01.50"), (1_234_567, 10, "1.234 s"),
     (1_234_567, 100, "1.2345 s"), (1_234_567, 1000, "1.234567 s"), (3_600_000_000, 0.5, "60:00.00")],
)  # fmt: skip
def test_time_has_the_digits_that_the_speed_needs(us, slow, text):
    assert time_text(us, slow) == text


def test_speed_is_told_where_it_is_not_real():
    assert [speed_text(slow) for slow in (1, 10, 2.5, 0.25)] == ["", "10x slower", "2.5x slower", "4x faster"]


def test_nothing_is_drawn_when_nothing_is_asked():
    shown = picture()
    Caption((), 480, "dark", 30, 1).draw(shown, moment(0))
    np.testing.assert_array_equal(shown, picture())


@pytest.mark.parametrize("colour", [(19, 14, 11), (241, 245, 246), (128, 128, 128)])
def test_labels_stand_out_on_any_picture(colour):
    """There are pixels of the text's full colour and plate pixels far from it, in the lower left corner only."""
    shown = picture(colour=colour)
    Caption(("time", "rate"), 480, "dark", 30, 1).draw(shown, moment(0))
    changed = (shown != colour).any(axis=2)
    ys, xs = np.nonzero(changed)
    assert ys.min() > 430
    assert xs.max() < 320
    part = shown[ys.min() : ys.max(), xs.min() : xs.max()].astype(int)
    assert (abs(part - TEXT).max(axis=2) < 4).sum() > 30
    assert (part.max(axis=2) < 90).sum() > 300


def test_labels_stay_where_they_are():
    """While digits change, the plates do not move: outside of the text two pictures are the same."""
    caption = Caption(("time", "rate"), 480, "dark", 30, 1)
    edges = []
    for k in range(40):
        shown = picture()
        caption.draw(shown, moment(k * 33_333, 11_111 if k < 20 else 99))
        columns = np.flatnonzero((shown != picture()).any(axis=(0, 2)))
        edges.append((columns[0], columns[-1]))
    assert len(set(edges[8:])) == 1


def test_the_rate_holds_for_a_quarter_of_a_second():
    """At 32 pictures a second it changes every 8th, and is the mean of those 8."""
    caption = Caption(("rate",), 480, "dark", 32, 1)
    rates = []
    for k in range(24):
        caption.draw(picture(), Moment(k * 1000, 1000, 10 if k % 2 else 30, None))
        rates.append(caption._rate)
    assert rates[0] == "30.0 kev/s"
    assert set(rates[8:]) == {"20.0 kev/s"}


def test_what_finds_no_room_is_left_out():
    """In a picture of 64 pixels the first label stands alone; in one of 8 none does."""
    small = picture(64, 96)
    Caption(ITEMS, 64, "dark", 30, 10).draw(small, moment(0))
    assert (small != picture(64, 96)).any()
    tiny = picture(8, 8)
    Caption(ITEMS, 8, "dark", 30, 10).draw(tiny, moment(0))
    np.testing.assert_array_equal(tiny, picture(8, 8))


def test_the_legend_shows_the_colours():
    shown = picture()
    Caption(("legend",), 480, "colour_blind", 30, 1).draw(shown, moment(0))
    colours = PALETTES["colour_blind"]
    for colour in (colours.on, colours.off):
        assert (abs(shown.astype(int) - colour[::-1]).max(axis=2) < 4).sum() > 20

"""Colours, scale, cut and frames of a picture."""

from fractions import Fraction

import numpy as np
import pytest

from evpipe.cli.rendering.painting import Box, Painting
from evpipe.view.palettes import NAMES, PALETTES
from evpipe.view.surface import SHADES

OFF, ON = SHADES, 2 * SHADES


def shades(*marked, size=(4, 6)):
    picture = np.zeros(size, np.uint8)
    for y, x, shade in marked:
        picture[y, x] = shade
    return picture


@pytest.mark.parametrize("palette", NAMES)
def test_colours_are_those_of_the_window(palette):
    """Background, newest ON and newest OFF have exactly the palette's colours, as BGR."""
    colours = PALETTES[palette]
    picture = Painting(palette, SHADES, Fraction(1)).paint(shades((0, 0, ON), (1, 2, OFF)), None)
    assert tuple(picture[0, 0, ::-1]) == colours.on
    assert tuple(picture[1, 2, ::-1]) == colours.off
    assert tuple(picture[3, 3, ::-1]) == colours.background


def test_a_whole_scale_makes_squares():
    """Each sensor pixel becomes 3 x 3 equal ones with sharp edges."""
    one = Painting("dark", SHADES, Fraction(1)).paint(shades((1, 2, ON)), None)
    three = Painting("dark", SHADES, Fraction(3)).paint(shades((1, 2, ON)), None)
    np.testing.assert_array_equal(three, one.repeat(3, axis=0).repeat(3, axis=1))


@pytest.mark.parametrize("weak", [1, SHADES + 1])
def test_a_smaller_picture_loses_no_single_pixel(weak):
    """At 1/2 each 2 x 2 pixels become the strongest of them, whatever its polarity; odd sides keep their last pixel."""
    painting = Painting("dark", SHADES, Fraction(1, 2))
    picture = painting.paint(shades((0, 0, weak), (1, 1, OFF), (2, 2, weak), (4, 6, ON), size=(5, 7)), None)
    assert picture.shape == (4, 4, 3)  # 3 x 4, made even
    table = painting.table[:, 0]
    assert tuple(picture[0, 0]) == tuple(table[OFF])
    assert tuple(picture[1, 1]) == tuple(table[weak])
    assert tuple(picture[2, 3]) == tuple(table[ON])


def test_sides_are_even():
    """Video needs even sides: a border of background is added, and nothing is cut off."""
    picture = Painting("light", SHADES, Fraction(1)).paint(shades((4, 6, ON), size=(5, 7)), None)
    assert picture.shape == (6, 8, 3)
    assert tuple(picture[4, 6, ::-1]) == PALETTES["light"].on
    assert tuple(picture[5, 7, ::-1]) == PALETTES["light"].background


def test_a_cut_keeps_its_part_of_the_sensor():
    """The box's first column and row come first."""
    picture = Painting("dark", SHADES, Fraction(1), Box(2, 1, 6, 3)).paint(shades((1, 2, ON)), None)
    assert picture.shape == (2, 4, 3)
    assert tuple(picture[0, 0, ::-1]) == PALETTES["dark"].on


def test_frames_lie_beneath_events_where_they_belong():
    """A frame of twice the sensor's size is fitted, dimmed and cut as the events are; newest events cover it."""
    frame = np.zeros((8, 12), np.uint8)
    frame[:, 6:] = 200
    painting = Painting("dark", SHADES, Fraction(2), Box(2, 0, 6, 4))
    picture = painting.paint(shades((1, 3, ON)), frame)
    assert picture.shape == (8, 8, 3)
    assert picture[0, 0].max() < 40
    assert 100 < picture[7, 7].min() < 160
    assert tuple(picture[2, 2, ::-1]) == PALETTES["dark"].on


def test_frames_alone_keep_their_brightness():
    """Without events a colour frame is shown as it is, RGB turned to BGR."""
    frame = np.full((4, 4, 3), (200, 100, 50), np.uint8)
    picture = Painting("dark", SHADES, Fraction(1)).paint(None, frame)
    assert (picture == (50, 100, 200)).all()


def test_the_input_is_left_alone():
    """Frames and shades are read only."""
    frame, drawn = np.full((4, 6), 90, np.uint8), shades((1, 1, ON))
    before = frame.copy(), drawn.copy()
    Painting("grey", SHADES, Fraction(1)).paint(drawn, frame)
    np.testing.assert_array_equal(frame, before[0])
    np.testing.assert_array_equal(drawn, before[1])

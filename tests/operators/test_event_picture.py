"""Pictures of events: the vector of the method, crops, normalisation, a real recording."""

from pathlib import Path

import numpy as np
import pytest

from evpipe.errors import UsageError
from evpipe.packets import Events
from operators.event_picture import Region, centre, normalised, paint_events, shrunk


def events_of(t: list[int], x: list[int], p: list[int], width: int = 4, height: int = 1) -> Events:
    return Events(
        t0_us=0,
        t1_us=1000,
        t=np.array(t, np.int64),
        x=np.array(x, np.uint16),
        y=np.zeros(len(x), np.uint16),
        p=np.array(p, np.uint8),
        width=width,
        height=height,
    )


def test_vector_of_the_method() -> None:
    """OFF wins though ON came last; an event at the window's start is in it, one at its end is not."""
    events = events_of([100, 110, 120, 130, 99, 200], [0, 1, 2, 2, 3, 3], [1, 0, 0, 1, 1, 0])
    painted = paint_events(events, 100, 200)
    expected = [[220, 30, 30], [30, 30, 200], [30, 30, 200], [255, 255, 255]]
    assert painted.picture.tolist() == [expected]
    assert painted[1:] == (2, 2, 0)


def test_normalised_colours() -> None:
    values = normalised(np.array([[[255, 255, 255], [220, 30, 30], [30, 30, 200]]], np.uint8))
    assert values.shape == (3, 1, 3)
    assert values.dtype == np.float32
    assert values[:, 0, 0] == pytest.approx((2.2489, 2.4286, 2.6400), abs=1e-4)
    assert values[:, 0, 1] == pytest.approx((1.6495, -1.5105, -1.2816), abs=1e-4)
    assert values[:, 0, 2] == pytest.approx((-1.6042, -1.5105, 1.6814), abs=1e-4)
    assert normalised(np.zeros((2, 5, 4, 6, 3), np.uint8)).shape == (2, 5, 3, 4, 6)


def test_the_centre_of_a_sensor() -> None:
    assert centre((260, 346), (128, 128)) == Region(0, 43, 260, 260)
    assert centre((480, 640), (64, 64)) == Region(0, 80, 480, 480)
    assert centre((100, 50), (20, 30)) == Region(33, 0, 33, 50)
    assert centre((34, 34), (64, 64)) == Region(0, 0, 34, 34)


def test_frames_of_both_kinds() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (26, 34)).astype(np.uint8)
    colour = np.repeat(grey[..., None], 3, 2)
    small = shrunk(grey, (8, 8))
    np.testing.assert_array_equal(small, shrunk(colour, (8, 8)))
    np.testing.assert_array_equal(small, shrunk(colour[:, 4:30], (8, 8)))
    np.testing.assert_array_equal(shrunk(colour, (4, 4), Region(2, 3, 4, 4)), colour[2:6, 3:7])
    view = np.broadcast_to(colour, colour.shape)
    np.testing.assert_array_equal(shrunk(view, (8, 8)), small)


@pytest.mark.parametrize("region", [Region(-1, 0, 4, 4), Region(0, 31, 4, 4), Region(0, 0, 27, 4), Region(0, 0, 0, 4)])
def test_regions_beyond_the_picture(region: Region) -> None:
    with pytest.raises(UsageError, match=r"does not lie in a picture of 26 x 34 px"):
        shrunk(np.zeros((26, 34, 3), np.uint8), (4, 4), region)


def test_events_outside_the_sensor_are_counted() -> None:
    painted = paint_events(events_of([1, 2], [3, 4], [1, 1]), 0, 10)
    assert painted[1:] == (1, 0, 1)


def test_real_recording(shared: Path) -> None:
    """A DAVIS recording: what is painted is what was counted, and shrinking keeps the mean colour."""
    from sensors.replay import Replay

    source = Replay(path=str(shared / "data" / "faery_sdist" / "davis346.aedat4"))
    source.open()
    packet = next(p for p in source.stream() if isinstance(p, Events) and len(p) > 100)
    source.close()
    painted = paint_events(packet, packet.t0_us, packet.t1_us)
    assert painted.on + painted.off == len(packet)
    pixels = len(np.unique(packet.y.astype(int) * packet.width + packet.x))
    assert (painted.picture != 255).any(2).sum() == pixels
    small = shrunk(painted.picture, (64, 64))
    crop = painted.picture[:, 43:303]
    assert small.shape == (64, 64, 3)
    assert small.mean((0, 1)) == pytest.approx(crop.mean((0, 1)), abs=0.5)

"""Video to events: each pixel like plain Python, the scene between pictures as said, and nothing lost in silence."""

import hashlib
import math
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.errors import InputError, UsageError
from sensors.flow import flow, moved
from sensors.formats.reader import Account, FrameChunk
from sensors.video_events import JUMP_US, events_of
from sensors.video_pixels import Pixels, log_intensity

BARE = Pixels(mismatch=0.0, refractory_us=(0, 0), leak_hz=0.0, shot_hz=0.0)


def frames(images, step_us=10_000, t0=5):
    """Pictures every `step_us`, exposed for 2 us about their time."""
    return [FrameChunk(t, t - 1, t + 1, np.asarray(i, np.uint8)) for t, i in zip(range(t0, 1 << 62, step_us), images)]  # noqa: B905


def rows(chunks):
    """All events as (t, x, y, p)."""
    return [row for chunk in chunks for row in zip(*(column.tolist() for column in chunk), strict=True)]


def plain(images, pixels, step_us, t0):
    """Events of pictures by a plain Python pixel, in float32 as the kernel; linear between pictures."""
    f, found = np.float32, []
    series = np.array([log_intensity(np.asarray(i, np.uint8), pixels) for i in images])
    for y in range(series.shape[1]):
        for x in range(series.shape[2]):
            level = series[0, y, x]
            for k, (old, new) in enumerate(pairwise(series[:, y, x])):
                sign = 1 if new > level else -1
                threshold = f(pixels.on) if sign > 0 else -f(pixels.off)
                while (new - f(level + threshold)) * sign >= 0:
                    level = f(level + threshold)
                    share = float(f(level - old)) * (step_us / float(f(new - old))) if new != old else 0.0
                    found.append((t0 + k * step_us + min(max(math.trunc(share), 0), step_us - 1), x, y, int(sign > 0)))
    return sorted(found)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(0.2, 0.3), (0.07, 0.05), (1.0, 0.4)]),
    st.sampled_from([(1.0, 0.02), (2.2, 0.1)]),
)
def test_linear_is_the_plain_pixel(seed, thresholds, light):
    """Any pictures give the events of a plain Python pixel, to the microsecond."""
    images = np.random.default_rng(seed).integers(0, 256, (4, 3, 5))
    pixels = Pixels(
        on=thresholds[0],
        off=thresholds[1],
        gamma=light[0],
        dark=light[1],
        mismatch=0.0,
        refractory_us=(0, 0),
        leak_hz=0.0,
        shot_hz=0.0,
    )
    assert sorted(rows(events_of(frames(images), pixels))) == plain(images, pixels, 10_000, 5)


@pytest.mark.parametrize("between", ["none", "linear", "flow"])
def test_a_chunk_for_each_interval(between):
    """Chunk k holds the events from picture k on and before picture k + 1, sorted, noise among them."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (5, 40, 50))
    made = list(events_of(frames(images, 7_001), Pixels(shot_hz=50.0), between=between, seed=3))
    assert len(made) == 4
    for k, chunk in enumerate(made):
        assert len(chunk.t) > 1_000
        assert 5 + 7_001 * k <= chunk.t[0] <= chunk.t[-1] < 5 + 7_001 * (k + 1)
        assert (np.diff(chunk.t) >= 0).all()
        assert (chunk.x.max(), chunk.y.max()) == (49, 39)


def test_without_interpolation_the_scene_is_held():
    """Nothing happens until a monitor's time before the next picture; then all that a linear course gives."""
    images = [np.full((2, 3), v) for v in (10, 200, 30)]
    held, linear = (rows(events_of(frames(images), BARE, between=between)) for between in ("none", "linear"))
    assert sorted(row[1:] for row in held) == sorted(row[1:] for row in linear)
    since = {(row[0] - 5) % 10_000 for row in held}
    assert min(since) >= 10_000 - JUMP_US
    assert min((row[0] - 5) % 10_000 for row in linear) < 5_000


def blob(x):
    """A soft bright spot at column x of a dim ground with a faint pattern."""
    rows_, columns = np.mgrid[:64, :96]
    spot = 150 * np.exp(-((columns - x) ** 2 + (rows_ - 32) ** 2) / 60)
    return (40 + spot + 10 * np.sin(columns / 5) * np.cos(rows_ / 7)).astype(np.uint8)


def test_flow_moves_what_linear_fades():
    """Half way, a spot that moves by 10 px is 5 px on; the mean of both pictures has it at neither place."""
    before, middle, after = (blob(x) for x in (40, 45, 50))
    logs = [log_intensity(image, BARE) for image in (before, middle, after)]
    at = moved(logs[0], logs[2], before, after)
    spot = np.s_[24:40, 35:56]
    by_flow, by_mean = (np.abs(made - logs[1])[spot].mean() for made in (at(0.5), (logs[0] + logs[2]) / 2))
    assert by_flow < 0.35 * by_mean
    early = log_intensity(blob(42), BARE)
    assert (
        np.abs(at(0.2) - early)[spot].mean() < 0.35 * np.abs(logs[0] + 0.2 * (logs[2] - logs[0]) - early)[spot].mean()
    )
    assert at(0) is logs[0]
    assert at(1) is logs[2]
    rightwards = flow(before, after)[28:37, 37:44, 0]
    assert 6 < np.median(rightwards) < 14


def test_the_search_never_gets_a_small_or_wide_picture(monkeypatch):
    """OpenCV's search reads past the end of those; it is given larger ones, whose edges go on."""
    import cv2

    seen = []

    class Search:
        def calc(self, before, after, start):
            seen.append(before.shape)
            assert (before[-1] == before[0]).all()
            return np.zeros((*before.shape, 2), np.float32)

    monkeypatch.setattr(cv2.DISOpticalFlow, "create", lambda preset: Search())
    for shape in ((1, 1), (16, 300), (400, 9), (300, 300)):
        assert flow(*np.full((2, *shape), 7, np.uint8)).shape == (*shape, 2)
    assert seen == [(32, 32), (169, 300), (400, 32), (300, 300)]


def test_flow_takes_any_size():
    """Events of small and very wide pictures lie inside them."""
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (8, 100), (16, 300), (24, 1_000), (300, 9), (9, 12, 3)):
        images = rng.integers(0, 256, (2, *shape))
        (made,) = events_of(frames(images), BARE, between="flow", steps=2)
        assert made.x.max() < shape[1]
        assert flow(*images.astype(np.uint8)).shape == (*shape[:2], 2)


def test_colour_is_seen_by_its_luminance():
    """Equal red, green and blue are grey; green counts most."""
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    colour = np.repeat(grey[..., None], 3, -1)
    np.testing.assert_allclose(log_intensity(colour, BARE), log_intensity(grey, BARE), atol=1e-6)
    assert log_intensity(np.uint8([[255]]), BARE)[0, 0] == pytest.approx(math.log(1.02))
    red, green, blue = log_intensity(255 * np.eye(3, dtype=np.uint8)[None], BARE)[0]
    assert (red, green, blue) == pytest.approx([math.log(share + 0.02) for share in (0.2126, 0.7152, 0.0722)])


def test_slow_pixels_follow_as_a_low_pass():
    """With one step an interval, a pixel has come 1 - exp(-2 pi f t) of the way, f falling with the light."""
    dark, bright = (float(log_intensity(np.uint8([[v]]), BARE)[0, 0]) for v in (50, 255))
    pixels = Pixels(on=0.01, off=0.01, mismatch=0, refractory_us=(0, 0), leak_hz=0, shot_hz=0, cutoff_hz=20.0)
    up = len(rows(events_of(frames([[[50]], [[255]]]), pixels, steps=1)))
    down = len(rows(events_of(frames([[[255]], [[50]]]), pixels, steps=1)))
    light = (50 / 255) ** 2.2
    for found, share_of_light in ((up, 1.0), (down, 0.1 + 0.9 * light)):
        share = 1 - math.exp(-2 * math.pi * 20 * 0.01 * share_of_light)
        assert found == pytest.approx(share * (bright - dark) / 0.01, abs=1.01)


def test_noise_comes_at_its_rates():
    """Before a still picture only leak and shot events come, as many as said; leak ones are brighter."""
    still = [np.full((60, 80), 90)] * 21
    leak = rows(events_of(frames(still), Pixels(leak_hz=5.0, shot_hz=0.0)))
    shot = rows(events_of(frames(still), Pixels(leak_hz=0.0, shot_hz=5.0)))
    for found in (leak, shot):
        assert len(found) == pytest.approx(60 * 80 * 0.2 * 5, abs=300)
    assert {row[3] for row in leak} == {1}
    assert 0.45 < np.mean([row[3] for row in shot]) < 0.55


def test_thresholds_differ_and_dead_time_holds():
    """Pixels before one change answer with different numbers of events, none within its dead time."""
    images = [np.full((30, 40), v) for v in (5, 250)]
    pixels = Pixels(on=0.05, mismatch=0.2, refractory_us=(500, 900), leak_hz=0.0, shot_hz=0.0)
    found = np.array(rows(events_of(frames(images), pixels)))
    counts = np.bincount(found[:, 2] * 40 + found[:, 1], minlength=1_200)
    assert counts.std() > 1
    assert 10_000 / 900 / 2 < counts.max() <= 20
    order = np.lexsort((found[:, 0], found[:, 1], found[:, 2]))
    same = (np.diff(found[order, 1]) == 0) & (np.diff(found[order, 2]) == 0)
    assert np.diff(found[order, 0])[same].min() >= 500


def test_equal_input_gives_equal_events_in_any_process():
    """The seed decides thresholds and noise; a buffer that is used again for each picture changes nothing."""
    images = np.random.default_rng(2).integers(0, 256, (4, 20, 30)).astype(np.uint8)

    def digest(source, seed=4):
        made = [b"".join(column.tobytes() for column in chunk) for chunk in events_of(source, seed=seed)]
        return hashlib.sha256(b"".join(made)).hexdigest()

    def one_buffer():
        buffer = np.empty((20, 30), np.uint8)
        for frame in frames(images):
            buffer[:] = frame.image
            yield frame._replace(image=buffer)

    first = digest(frames(images))
    assert digest(one_buffer()) == first
    assert digest(frames(images), seed=5) != first
    code = (
        "import hashlib, numpy as np; from sensors.formats.reader import FrameChunk;"
        "from sensors.video_events import events_of;"
        "images = np.random.default_rng(2).integers(0, 256, (4, 20, 30)).astype(np.uint8);"
        "made = events_of([FrameChunk(t, t - 1, t + 1, i) for t, i in zip(range(5, 99999, 10000), images)], seed=4);"
        "print(hashlib.sha256(b''.join(c.tobytes() for chunk in made for c in chunk)).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == first


def test_pauses_and_times_that_stand_still_are_counted():
    """A picture that is no later is left out; after a pause of seconds the pixels begin anew, without events."""
    images = [np.full((2, 2), v) for v in (10, 200, 220, 10, 10)]
    made = [
        frame._replace(t_us=t, start_us=t, end_us=t)
        for frame, t in zip(frames(images), (0, 10_000, 10_000, 2_000_000, 2_010_000), strict=True)
    ]
    account = Account()
    first, pause, last = events_of(made, BARE, account=account)
    assert len(first.t) > 0
    assert (len(pause.t), len(last.t)) == (0, 0)
    assert account.notes == {
        "pictures left out because their time did not advance": 1,
        "pauses of more than a second between two pictures, after which pixels begin anew": 1,
    }


def test_many_events_find_room():
    """More events in one interval than there was room for: none is lost."""
    images = [np.full((100, 100), v) for v in (1, 255)]
    made = rows(events_of(frames(images), Pixels(on=0.02, mismatch=0, refractory_us=(0, 0), leak_hz=0, shot_hz=0)))
    assert len(made) == 10_000 * int((math.log(1.02) - math.log(0.02 + (1 / 255) ** 2.2)) / 0.02)


def test_mistakes_are_named():
    """Parameters at once, before any picture is taken; a picture of another size where it comes."""
    with pytest.raises(UsageError, match=r"events of video: on is 0; it must be 0.001 to 10; between is 'x'; it must"):
        events_of([], Pixels(on=0.0), between="x")
    with pytest.raises(UsageError, match=r"refractory_us is 9 to 3; it must be two times .* in order; steps is 0; it"):
        events_of([], Pixels(refractory_us=(9, 3)), steps=0)
    with pytest.raises(UsageError, match=r"cutoff_hz is 0; it must be 0.01 to 1e\+06"):
        events_of([], Pixels(cutoff_hz=0.0))
    images = [np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((3, 2, 3))]
    made = events_of(frames(images), BARE)
    next(made)
    with pytest.raises(InputError, match="picture at 20005 us is 2 x 3 px, colour and those before are 3 x 2 px, grey"):
        next(made)
    assert list(events_of(frames(images[:1]), BARE)) == []

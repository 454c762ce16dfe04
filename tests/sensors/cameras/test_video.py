"""Video files as sources, on real files made here."""

import cv2
import numpy as np
import pytest

from evpipe.errors import InputError
from evpipe.operator import Alone, spec_of
from evpipe.packets import Events, Frame
from sensors.cameras.video import Video
from sensors.video_pixels import Pixels

FPS = 25.0


def film(path, pictures, fps=FPS, code="MJPG"):
    """Write pictures [H, W, 3] RGB as a video; returns the path."""
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), fps, (width, height))
    assert writer.isOpened()
    for picture in pictures:
        writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    writer.release()
    return str(path)


def played(path, **params):
    lines = []

    class Listener(Alone):
        def say(self, text):
            lines.append(text)

    source = Video(path, **params)
    source.context = Listener()
    source.open()
    packets = list(source.stream())
    ports = source.ports()
    source.close()
    return packets, ports, lines


def bar(k, size=(48, 64)):
    """A bright bar that moves 2 px a frame on grey."""
    picture = np.full((*size, 3), 60, np.uint8)
    picture[:, 10 + 2 * k : 18 + 2 * k] = 200
    return picture


@pytest.mark.parametrize(("suffix", "code"), [("avi", "MJPG"), ("mp4", "mp4v")])
def test_frames_at_the_files_times(tmp_path, suffix, code):
    """All frames, in RGB, 40 ms apart from 0 on."""
    pictures = [np.full((48, 64, 3), (8 * k, 0, 0), np.uint8) for k in range(20)]
    packets, ports, lines = played(film(tmp_path / f"a.{suffix}", pictures, code=code))
    assert ports == ["frame"]
    assert [p.t0_us for p in packets] == [40_000 * k for k in range(20)]
    assert all(isinstance(p, Frame) and p.t1_us == p.t0_us for p in packets)
    for k, packet in enumerate(packets):
        assert abs(int(packet.image[..., 0].mean()) - 8 * k) < 8
        assert packet.image[..., 2].max() < 24
    assert lines == [f"{tmp_path}/a.{suffix}: 64x48, 20 frames by its own word"]


def test_events_beside_frames_in_order(tmp_path):
    """Packets of both ports are sorted by `t1_us`; events end with the last frame, and the same seed gives the same."""
    path = film(tmp_path / "a.avi", [bar(k) for k in range(15)])
    packets, ports, _ = played(path, events=True, seed=4)
    assert ports == ["events", "frame"]
    ends = [p.t1_us for p in packets]
    assert ends == sorted(ends)
    events = [p for p in packets if isinstance(p, Events)]
    assert events[-1].t1_us == 14 * 40_000
    assert all(a.t1_us == b.t0_us for a, b in zip(events, events[1:], strict=False))  # noqa: RUF007
    assert all(((p.t0_us <= p.t) & (p.t < p.t1_us)).all() for p in events)
    assert len([p for p in packets if isinstance(p, Frame)]) == 15
    again, _, _ = played(path, events=True, seed=4)
    for one, two in zip(events, [p for p in again if isinstance(p, Events)], strict=True):
        np.testing.assert_array_equal(one.t, two.t)
        np.testing.assert_array_equal(one.x, two.x)
    assert sum(map(len, events)) > 200


def test_how_packets_are_cut_changes_no_event(tmp_path):
    """Packets of 5 ms and one of all the film hold the same events, up to the last frame."""
    path = film(tmp_path / "a.avi", [bar(k) for k in range(10)], fps=30.0)

    def times(packet_us):
        packets, _, _ = played(path, events=True, packet_us=packet_us)
        return np.concatenate([q.t for q in packets if isinstance(q, Events)])

    fine = times(5_000)
    np.testing.assert_array_equal(fine, times(700_000))
    assert 295_000 < fine[-1] < 300_000


def test_a_pixels_events_follow_its_light(tmp_path):
    """A uniform fade from 40 to 220: each pixel gives ON events alone, as many as thresholds fit in the log light."""
    pictures = [np.full((32, 32, 3), 40 + 9 * k, np.uint8) for k in range(21)]
    packets, _, _ = played(film(tmp_path / "a.avi", pictures), events=True, noise=0.0, threshold=0.25)
    p = np.concatenate([q.p for q in packets if isinstance(q, Events)])
    like = Pixels()
    rise = np.log((220 / 255) ** like.gamma + like.dark) - np.log((40 / 255) ** like.gamma + like.dark)
    assert p.min() == 1
    assert abs(len(p) / 32**2 - (rise / 0.25 - 0.5)) < 0.6


def test_a_still_film_gives_no_events(tmp_path):
    """Without noise and change there is nothing to report."""
    packets, _, _ = played(film(tmp_path / "a.avi", [bar(0)] * 10), events=True, noise=0.0)
    assert sum(len(q) for q in packets if isinstance(q, Events)) == 0


def test_flow_moves_edges_instead_of_fading_them(tmp_path):
    """A bar that jumps 6 px a frame: along the flow events come at columns and times along its way."""

    def wide(k):
        picture = np.full((48, 128, 3), 60, np.uint8)
        texture = np.random.default_rng(3).integers(0, 60, (48, 24, 3)).astype(np.uint8)
        picture[:, 10 + 6 * k : 34 + 6 * k] = 160 + texture
        return cv2.GaussianBlur(picture, (5, 5), 0)

    path = film(tmp_path / "a.avi", [wide(k) for k in range(8)])

    def error(between):
        packets, _, _ = played(path, events=True, noise=0.0, between=between)
        t = np.concatenate([q.t for q in packets if isinstance(q, Events)])
        x = np.concatenate([q.x for q in packets if isinstance(q, Events)])
        p = np.concatenate([q.p for q in packets if isinstance(q, Events)])
        front = 34 + 6 * t / 40_000  # the leading edge of the bar
        near = (p == 1) & (np.abs(x - front) < 9)
        return np.abs(x - front)[near].mean()

    assert error("flow") < 0.8 * error("linear")


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100])
def test_what_is_no_video(tmp_path, content):
    """It is refused with what OpenCV reads; exit code 3."""
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"OpenCV finds no frame in it. OpenCV reads most mp4") as error:
        Video(str(path)).open()
    assert error.value.exit_code == 3
    with pytest.raises(InputError, match=r"none.mp4: no such file"):
        Video(str(tmp_path / "none.mp4")).open()


def test_a_cut_video_says_what_is_missing(tmp_path):
    """Frames that the file declares and does not hold are counted."""
    film(tmp_path / "a.avi", [bar(k) for k in range(20)])
    data = (tmp_path / "a.avi").read_bytes()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(data[: len(data) * 6 // 10])
    packets, _, lines = played(str(cut))
    assert 0 < len(packets) < 20
    assert lines[-1] == f"{cut}: {len(packets)} of 20 frames could be read"


def test_signature():
    """Events and frames are possible; it is no live source."""
    assert spec_of(Video).outputs == {"events": Events, "frame": Frame}
    assert not Video.live

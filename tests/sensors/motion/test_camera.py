"""Recorded people before the simulated camera: the same events always, in view, upright, walking forwards."""

import hashlib
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from evpipe.errors import InputError, UsageError
from evpipe.operator import spec_of
from evpipe.packets import Events, Frame
from sensors.motion import MotionCamera, clip_events
from sensors.motion.camera import clip_play
from sensors.scenes.figure import CONES

TOE = next(k for k, cone in enumerate(CONES) if cone.b == "toe_l")
TRUNK = next(k for k, cone in enumerate(CONES) if cone.b == "chest")
ARMS = [next(k for k, cone in enumerate(CONES) if cone.a == f"shoulder_{side}") for side in "lr"]


def files(shared):
    """Folder of DeepMimic clips, and of all motion."""
    return shared / "data" / "motion" / "deepmimic", shared / "data" / "motion"


def digest(events):
    """SHA-256 of all columns."""
    return hashlib.sha256(b"".join(getattr(events, name).tobytes() for name in "txyp")).hexdigest()


def test_events_are_the_same_in_any_process(shared):
    """Equal arguments give equal events, in another process too; seeds, files and spans matter."""
    folder, every = files(shared)
    kick = folder / "humanoid3d_kick.txt"
    first = clip_events(kick, 3, 200_000)
    assert (first.t0_us, first.t1_us, first.width, first.height) == (0, 200_000, 346, 260)
    assert len(first) > 2_000
    code = (
        "import hashlib, sys; from pathlib import Path; from sensors.motion import clip_events;"
        "e = clip_events(Path(sys.argv[1]), 3, 200_000);"
        "print(hashlib.sha256(b''.join(getattr(e, n).tobytes() for n in 'txyp')).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code, str(kick)], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == digest(first)
    assert digest(clip_events(kick, 4, 200_000)) != digest(first)
    assert digest(clip_events(folder / "humanoid3d_punch.txt", 3, 200_000)) != digest(first)
    jumps = every / "fairmotion" / "01_01.amc"
    assert digest(clip_events(jumps, 3, 100_000, span_s=(1.0, 2.5))) != digest(clip_events(jumps, 3, 100_000))


@pytest.mark.parametrize("seed", range(6))
def test_a_walker_crosses_the_picture_forwards(shared, seed):
    """As far as the camera sees, across the picture, toes first, feet on the floor; left is on the left."""
    folder, _ = files(shared)
    play, _ = clip_play(folder / "humanoid3d_walk.txt", seed, 1_500_000)
    figure, colours, weave = play.at(np.arange(0, 1_500_000, 10_000))
    toes = figure.b[:, TOE] - figure.a[:, TOE]
    way = figure.ground[-1, 0] - figure.ground[0, 0]
    assert 0.5 < abs(way[0]) < 1.8
    assert abs(way[2]) < abs(way[0])
    assert np.median(toes[:, [0, 2]] @ way[[0, 2]]) > 0
    left = figure.a[:, ARMS[0]] - figure.a[:, ARMS[1]]
    # The room's axes are right, up and away from the camera: whoever faces the camera has the left on the right.
    assert np.median(left[:, 2] * toes[:, 0] - left[:, 0] * toes[:, 2]) > 0
    soles = np.minimum(figure.a[..., 1], figure.b[..., 1])[:, : TOE + 20]
    assert (figure.b[:, TRUNK, 1] > 1.0).all()
    assert soles[figure.opacity[:, : TOE + 20] > 0].min() > -0.01
    np.testing.assert_allclose(figure.ground[:, :, 0].mean(), play.path.x, atol=0.4)
    assert colours.shape == (150, len(CONES), 3)
    assert weave.shape == (150, len(CONES), 2)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "span_s"), [("fairmotion/01_01.amc", (1.2, 2.8)), ("deepmimic/humanoid3d_jump.txt", None)]
)
def test_who_stays_faces_the_camera(shared, name, span_s, seed):
    """Jumpers, who get on by a metre at most, face the camera within 60 degrees."""
    _, every = files(shared)
    play, _ = clip_play(every / name, seed, 1_500_000, span_s)
    figure, _, _ = play.at(np.arange(0, 1_500_000, 50_000))
    toes = figure.b[:, TOE] - figure.a[:, TOE]
    assert np.abs(np.degrees(np.arctan2(toes[:, 0], -toes[:, 2]))).max() < 60


@pytest.mark.parametrize("name", ["humanoid3d_run.txt", "humanoid3d_kick.txt", "humanoid3d_cartwheel.txt"])
def test_it_goes_on_for_ever_in_view(shared, name):
    """Half a minute of a motion of a second or two: never a leap, and always before the camera."""
    folder, _ = files(shared)
    camera = MotionCamera(str(folder / name), seed=2)
    t = np.arange(0, 30_000_000, 4_000)
    figure, _, _ = camera.play().at(t)
    person = figure.opacity[0] > 0
    steps = np.linalg.norm(np.diff(figure.b[:, person], axis=0), axis=-1)
    assert steps.max() < 0.08
    assert np.abs(figure.ground[:, 0, 0]).max() < 1.3
    assert 2.8 < figure.ground[:, 0, 2].min() < figure.ground[:, 0, 2].max() < 5.2


def test_camera_packets(shared):
    """Packets and frames as those of the simulated camera; what the reader guessed is said."""
    _, every = files(shared)
    said = []

    class Context:
        say = staticmethod(said.append)

    camera = MotionCamera(str(every / "bvh_python" / "test_freebvh.bvh"), duration_us=103_000, packet_us=10_000)
    camera.context = Context()
    camera.open()
    packets = list(camera.stream())
    events = [packet for packet in packets if isinstance(packet, Events)]
    assert [(p.t0_us, p.t1_us) for p in events] == list(pairwise([*range(0, 103_000, 10_000), 103_000]))
    assert sum(p.n_events for p in events) > 1_000
    assert [p.t0_us for p in packets if isinstance(p, Frame)] == [0, 40_000, 80_000]
    assert "lengths are taken as centimetres" in said[0]
    assert spec_of(MotionCamera).outputs == {"events": Events, "frame": Frame}
    assert spec_of(MotionCamera).params["file"].required


def test_mistakes_are_named(shared, tmp_path):
    """A missing file, a size and a span out of range."""
    folder, _ = files(shared)
    with pytest.raises(InputError, match=r"none.bvh: cannot be read: No such file"):
        clip_events(tmp_path / "none.bvh", 0, 1_000)
    with pytest.raises(InputError, match=r"none.bvh: cannot be read: No such file"):
        MotionCamera(str(tmp_path / "none.bvh")).open()
    with pytest.raises(UsageError, match=r"16 to 2048 px; found \[8, 346\]"):
        clip_events(folder / "humanoid3d_kick.txt", 0, 1_000, size=(8, 346))
    with pytest.raises(UsageError, match=r"1 to 9 s is no part of a motion of 1.57 s"):
        clip_events(folder / "humanoid3d_kick.txt", 0, 1_000, span_s=(1.0, 9.0))

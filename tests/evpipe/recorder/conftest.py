"""The recorder's tests run graphs of the runtime's test operators, and write packets of every kind."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from evpipe.packets import Boxes, Events, Frame, FramePair, Imu, Mark, Packet, Scores, Tensor, Triggers

OPS = Path(__file__).parents[1] / "run" / "ops.py"


@pytest.fixture
def recorded_graph(tmp_path: Path) -> Path:
    """A graph with events, frames and scores, and a recorder beside it."""
    path = tmp_path / "graph.yaml"
    path.write_text(
        f"""
evpipe: 1
name: recorded
clock: fast
nodes:
  noise: {{use: "{OPS}:Noise", with: {{packets: 200}}}}
  rate: {{use: "{OPS}:Rate", in: noise.events}}
""",
        encoding="utf-8",
    )
    return path


def every_kind(generator: np.random.Generator, t0_us: int, t1_us: int, seq: int = 0) -> list[tuple[str, Packet]]:
    """A packet of each kind, with its port; all of one span."""

    def floats(*shape: int) -> np.ndarray:
        return generator.normal(size=shape).astype(np.float32)

    def times(n: int) -> np.ndarray:
        return np.sort(generator.integers(t0_us, t1_us, n))

    span = {"t0_us": t0_us, "t1_us": t1_us, "seq": seq}
    n = int(generator.integers(0, 60))
    x, y = generator.integers(0, 64, n).astype(np.uint16), generator.integers(0, 48, n).astype(np.uint16)
    p = generator.integers(0, 2, n).astype(np.uint8)
    events = Events(**span, t=times(n), x=x, y=y, p=p, width=64, height=48)
    colour, grey = (generator.integers(0, 256, shape).astype(np.uint8) for shape in ((48, 64, 3), (5, 7)))
    m = n % 5
    boxes = {name: floats(m) for name in ("x", "y", "w", "h", "score")}
    return [
        ("camera.events", events),
        ("camera.frame", Frame(**span, image=colour if seq % 2 else grey)),
        ("camera.imu", Imu(**span, t=times(3), accel=floats(3, 3), gyro=floats(3, 3))),
        ("camera.triggers", Triggers(**span, t=times(m), channel=p[:m].copy(), value=(1 - p[:m]))),
        ("pair.frame_pair", FramePair(**span, image=grey, t=events.t, x=x, y=y, p=p, width=64, height=48, lag_us=-4)),
        ("bins.tensor", Tensor(**span, values=floats(2, 2, 3, 4), axes="TPHW", edges_us=times(3))),
        (
            "har.scores",
            Scores(
                **(span | {"t0_us": t0_us - 480_000}),
                labels=("a", "bé"),
                values=floats(2),
                attention=floats(m),
                kept=p[:m].astype(bool),
                lookahead_us=7,
                extras={"margin": 1 / 3, "n": float(n)},
            ),
        ),
        (
            "detect.boxes",
            Boxes(
                **span,
                **boxes,
                label=np.zeros(m, np.int16),
                track=np.arange(m, dtype=np.int32),
                labels=("car", "person"),
            ),
        ),
        ("recorder.mark", Mark(**span, kind="gap", reason="lost", count=seq, events=n)),
    ]


@pytest.fixture(scope="session")
def recorded() -> list[tuple[str, Packet]]:
    """Packets of every kind over 3 s of sensor time, in order, with their ports."""
    generator, ports = np.random.default_rng(7), []
    for k in range(150):
        ports += every_kind(generator, k * 20_000, (k + 1) * 20_000, k)
    return ports


def same(first: Packet, second: Packet) -> bool:
    """Whether two packets have equal fields, and arrays of equal type, shape and bytes."""
    if type(first) is not type(second):
        return False
    for name in first.__struct_fields__:
        a, b = getattr(first, name), getattr(second, name)
        if isinstance(a, np.ndarray):
            if (a.dtype, a.shape, a.tobytes()) != (b.dtype, b.shape, b.tobytes()):
                return False
        elif a != b:
            return False
    return True


@pytest.fixture(scope="session")
def equal():
    """A function (packets, packets) -> None that fails where they differ."""

    def check(found, expected):
        found, expected = list(found), list(expected)
        assert len(found) == len(expected)
        for k, (a, b) in enumerate(zip(found, expected, strict=True)):
            assert same(a, b), (k, msgspec.to_builtins(a, enc_hook=repr), msgspec.to_builtins(b, enc_hook=repr))

    return check


@pytest.fixture(scope="session")
def kinds():
    """The function `every_kind`."""
    return every_kind


@pytest.fixture
def session(tmp_path, recorded) -> Path:
    """A session of `recorded`."""
    from evpipe.recorder.session_writer import SessionWriter

    writer = SessionWriter(tmp_path / "a", {"version": "1", "graph": "evpipe: 1\n"})
    for origin, packet in recorded:
        writer.packet(packet, origin)
    writer.close()
    return tmp_path / "a.mcap"

"""`evpipe batch` with the apps that come along: nothing goes on from one recording to the next."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sensors.road.camera import RoadCamera
from sensors.writers.aedat4 import Aedat4Writer
from tests.apps.conftest import ROOT

SECONDS = (1.0, 1.1, 1.2)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three short recordings of events and frames on a road."""
    folder = tmp_path_factory.mktemp("recordings")
    for seed, seconds in enumerate(SECONDS):
        camera = RoadCamera(seed=seed, duration_us=round(seconds * 1e6))
        camera.open()
        with Aedat4Writer(folder / f"{seed}.aedat4", width=346, height=260) as writer:
            for packet in camera.stream():
                if hasattr(packet, "image"):
                    writer.frame(packet.t0_us, packet.t1_us, packet.image)
                elif hasattr(packet, "p"):
                    writer.events(packet.t, packet.x, packet.y, packet.p)
    return folder


@pytest.mark.parametrize("app", ["har_live", "har_fusion", "detect_live"])
def test_a_recording_gives_the_same_alone_and_after_others(app: str, recordings: Path, tmp_path: Path) -> None:
    """One worker that goes through all writes the bytes for its last recording that a run over it alone writes."""

    def batch(out: str, files: list[Path]) -> Path:
        command = [sys.executable, "-m", "evpipe", "batch", str(ROOT / "apps" / f"{app}.yaml"), *map(str, files)]
        done = subprocess.run(
            [*command, "--out", str(tmp_path / out), "--jobs", "1", "-q"],
            capture_output=True, text=True, timeout=180, check=False, env=os.environ,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return tmp_path / out / "tables"

    names = sorted(recordings.iterdir())
    least = min(names, key=lambda path: path.stat().st_size)  # large ones go first
    together, alone = batch("together", names), batch("alone", [least])
    (last,) = [path for path in sorted(together.rglob("*.csv")) if path.name.startswith(least.stem)]
    (only,) = sorted(alone.rglob("*.csv"))
    assert last.read_bytes() == only.read_bytes()
    assert len(only.read_text().splitlines()) > 3

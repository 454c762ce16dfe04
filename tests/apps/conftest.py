"""Untrained models for the apps whose shipped ones take an hour to train: the same shapes, random weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LABELS = ("stand", "walk", "wave", "clap", "arm_circle", "squat", "jump", "jump_jack", "punch", "kick", "sit", "bow")


class Ran:
    """A finished `evpipe run` of an app of the checkout."""

    def __init__(self, app: str, *options: object, cwd: Path | None = None, **env: str) -> None:
        path = ROOT / "apps" / f"{app}.yaml"
        command = [sys.executable, "-m", "evpipe", "run", str(path), "--summary", "json", *map(str, options)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=180, check=False, cwd=cwd, env=os.environ | env
        )
        self.code, self.err = done.returncode, done.stderr
        self.summary = json.loads(done.stdout) if done.stdout.strip() else {}

    def edge(self, source: str, target: str, port: str = "") -> dict:
        return next(
            e for e in self.summary["edges"] if (e["from"], e["to"]) == (source, target) and port in ("", e["port"])
        )

    def check_accounts(self) -> None:
        assert self.summary["edges"]
        for edge in self.summary["edges"]:
            for unit in ("", "_events"):
                assert (
                    edge[f"sent{unit}"] == edge[f"received{unit}"] + edge[f"dropped{unit}"] + edge[f"in_flight{unit}"]
                )


@pytest.fixture(scope="session")
def fusion_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A nano fusion model of twelve actions whose routers are away from where they start."""
    import torch

    from operators.fusion_card import FusionCard, PairInput
    from operators.fusion_network import FusionNetwork
    from operators.model_card import write
    from operators.nets.mmhco import Mmhco

    torch.manual_seed(2)
    description = FusionNetwork(kind="nano")
    net = Mmhco(description, len(LABELS))
    with torch.no_grad():
        for p in net.parameters():
            p.add_(torch.randn(p.shape) * 0.1)
        net.train()
        for _ in range(4):
            net.pair_logits(torch.randn(8, 3, 64, 64), torch.randn(8, 3, 64, 64))
    card = FusionCard(
        evpipe_model=1,
        task="fuse",
        name="toy",
        about="toy",
        licence="Apache-2.0",
        network=description,
        input=PairInput(pairs=4),
        labels=LABELS,
        training={},
        figures={},
        repeat="",
    )
    folder = tmp_path_factory.mktemp("models") / "fusion"
    write(folder, card, {f"network.{n}": t.numpy() for n, t in net.state_dict().items() if t.is_floating_point()})
    return folder


@pytest.fixture(scope="session")
def detect_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny8 detector on a small grid that finds something everywhere."""
    import torch

    from operators.detector_card import BinInput, DetectorCard
    from operators.detector_network import Detector
    from operators.model_card import write
    from operators.nets.ems_stored import arrays_of
    from operators.nets.ems_yolo import EmsYolo

    torch.manual_seed(2)
    description = Detector(kind="tiny8", classes=2)
    net = EmsYolo(description)
    with torch.no_grad():
        net.head5.bias.view(3, -1)[0, 4:6] = 4.0  # of the coarse cells' small anchor: something is there, and a car
    card = DetectorCard(
        evpipe_model=1,
        task="detect",
        name="toy",
        about="toy",
        licence="Apache-2.0",
        network=description,
        input=BinInput(size=(64, 96), sensor=(260, 346)),
        labels=("car", "pedestrian"),
        burn_in=True,
        training={},
        figures={},
        repeat="",
    )
    folder = tmp_path_factory.mktemp("models") / "detector"
    write(folder, card, arrays_of(net))
    return folder

"""The fusion classifier in a stream: equal to the network on the clip, with one modality missing, over sessions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from evpipe.errors import InputError, UsageError
from evpipe.packets import FramePair
from operators.event_picture import normalised, paint_events, shrunk
from operators.fusion_card import FusionCard, PairInput, read_fusion_card
from operators.fusion_network import FusionNetwork
from operators.mmhco import Classify, _events_of
from operators.model_card import write
from operators.nets.mmhco import Mmhco

LABELS = ("walking", "waving", "falling")
SENSOR = (52, 69)


def make_pair(i: int, **changes: object) -> FramePair:
    """Pair number i of 40 ms: a noisy picture and 300 random events."""
    rng = np.random.default_rng(i)
    n, t0 = 300, i * 40_000
    fields = {
        "t0_us": t0,
        "t1_us": t0 + 40_000,
        "image": rng.integers(0, 256, (*SENSOR, 3), np.uint8),
        "t": np.sort(rng.integers(t0, t0 + 40_000, n)),
        "x": rng.integers(0, SENSOR[1], n).astype(np.uint16),
        "y": rng.integers(0, SENSOR[0], n).astype(np.uint16),
        "p": rng.integers(0, 2, n).astype(np.uint8),
        "width": SENSOR[1],
        "height": SENSOR[0],
    }
    return FramePair(**(fields | changes))


def make_model(folder: Path, **network: object) -> tuple[Path, Mmhco]:
    """An untrained model whose batch norms and routers are away from where they start."""
    torch.manual_seed(2)
    torch.set_num_threads(1)
    description = FusionNetwork(kind="nano", **network)
    net = Mmhco(description, 3)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(torch.randn(p.shape) * 0.1)
        net.train()
        for _ in range(4):
            net.pair_logits(torch.randn(8, 3, 64, 64), torch.randn(8, 3, 64, 64))
    card = FusionCard(
        evpipe_model=1,
        name="toy",
        about="toy",
        licence="Apache-2.0",
        network=description,
        input=PairInput(pairs=4, sensor=SENSOR),
        labels=LABELS,
        training={},
        figures={},
        repeat="",
    )
    arrays = {f"network.{name}": t.numpy() for name, t in net.state_dict().items() if t.is_floating_point()}
    write(folder, card, arrays)
    return folder, net.eval()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mmhco]:
    return make_model(tmp_path_factory.mktemp("models") / "toy")


def pictures(pairs: list[FramePair]) -> tuple[torch.Tensor, torch.Tensor]:
    """Both modalities of a clip, [1, T, 3, 64, 64]."""
    rgb = np.stack([shrunk(p.image, (64, 64)) for p in pairs])
    events = np.stack([shrunk(paint_events(_events_of(p), p.t0_us, p.t1_us).picture, (64, 64)) for p in pairs])
    return torch.from_numpy(normalised(rgb)[None]), torch.from_numpy(normalised(events)[None])


def test_a_stream_equals_the_clip(model) -> None:
    """After each pair the decision is the softmax of the network's answer on the last four, as one batch."""
    folder, net = model
    op = Classify(model=str(folder))
    pairs = [make_pair(i) for i in range(9)]
    forms = set()
    for i, pair in enumerate(pairs):
        scores = op.on_frame_pair(pair)
        with torch.no_grad():
            clip = net.clip(*pictures(pairs[max(0, i - 3) : i + 1]))
        wanted = torch.softmax(clip.logits[0], 0).numpy()
        np.testing.assert_allclose(scores.values, wanted, atol=1e-5)
        assert (scores.extras["n"], scores.extras["complete"]) == (min(i + 1, 4), float(i >= 3))
        assert (scores.t0_us, scores.t1_us) == (max(0, i - 3) * 40_000, pair.t1_us)
        assert scores.labels == LABELS
        assert scores.extras["on"] + scores.extras["off"] == 300
        assert scores.extras["route_margin"] > 0
        forms |= {(k, scores.extras[f"form_{k}"]) for k in range(1, net.network.blocks + 1)}
    assert len(forms) >= net.network.blocks


def test_twice_the_same(model) -> None:
    """Evaluation has no noise: two operators give the same bits."""
    folder, _ = model
    runs = []
    for _ in range(2):
        op = Classify(model=str(folder))
        runs.append([op.on_frame_pair(make_pair(i)).values.tobytes() for i in range(5)])
    assert runs[0] == runs[1]


def test_one_modality_missing(model) -> None:
    """A pair without one runs on the other, in form 0; one without both gives no answer and is counted."""
    folder, net = model
    said: list[str] = []
    op = Classify(model=str(folder), pairs=1)
    op.context = type("Listener", (), {"say": lambda self, text: said.append(text)})()
    dark = make_pair(0, image=np.zeros((0, 0), np.uint8), has_image=False)
    scores = op.on_frame_pair(dark)
    _, events = pictures([make_pair(0)])
    with torch.no_grad():
        wanted = torch.softmax(net.pair_logits(None, events[0]).logits[0].double(), 0).numpy()
    np.testing.assert_allclose(scores.values, wanted, atol=1e-5)
    assert (scores.extras["rgb"], scores.extras["events"]) == (0, 1)
    assert [scores.extras[f"form_{k}"] for k in range(1, net.network.blocks + 1)] == [0] * net.network.blocks
    assert "route_margin" not in scores.extras
    lone = op.on_frame_pair(make_pair(1, has_events=False, complete=False))
    assert (lone.extras["rgb"], lone.extras["events"], lone.extras["untold"]) == (1, 0, 1)
    assert op.on_frame_pair(make_pair(2, has_image=False, has_events=False)) is None
    op.on_end()
    assert said == ["1 pairs had nothing of what is looked at and were left out"]


def test_no_event_is_not_a_missing_modality(model) -> None:
    """Stillness is a white picture, which is looked at."""
    none = {name: getattr(make_pair(0), name)[:0] for name in ("t", "x", "y", "p")}
    scores = Classify(model=str(model[0])).on_frame_pair(make_pair(0, **none))
    assert scores.extras["events"] == 1


def test_modalities_and_forced_routes(model) -> None:
    """Looking at events alone ignores the picture; a forced form is every block's."""
    folder, net = model
    op = Classify(model=str(folder), modalities="events", pairs=1)
    one = op.on_frame_pair(make_pair(0))
    two = op.on_frame_pair(
        make_pair(1, **{n: getattr(make_pair(0), n) for n in ("x", "y", "p")}, t=make_pair(0).t + 40_000)
    )
    np.testing.assert_array_equal(one.values, two.values)
    forced = Classify(model=str(folder), route_force=1).on_frame_pair(make_pair(0))
    assert [forced.extras[f"form_{k}"] for k in range(1, net.network.blocks + 1)] == [1] * net.network.blocks


def test_stride_sessions_and_epochs(model) -> None:
    """Pairs between strides give nothing; time that goes back begins a new session, and a seek counts them anew."""
    op = Classify(model=str(model[0]), stride_us=100_000)
    given = [i for i in range(10) if op.on_frame_pair(make_pair(i)) is not None]
    assert given == [0, 2, 4, 7, 9]
    again = op.on_frame_pair(make_pair(1))
    assert (again.extras["n"], again.extras["session"]) == (1, 1)
    sought = op.on_frame_pair(make_pair(7, epoch=1))
    assert (sought.extras["n"], sought.extras["session"], sought.epoch) == (1, 0, 1)


def test_what_cannot_be(model, tmp_path: Path) -> None:
    """A context across the clip, a part beyond the picture, a damaged model, a modality that is not there."""
    folder, _ = make_model(tmp_path / "clip", fve_context="clip")
    with pytest.raises(UsageError, match="fve_context 'clip' looks at pairs beside"):
        Classify(model=str(folder)).open()
    with pytest.raises(UsageError, match="does not lie in a picture of 52 x 69"):
        Classify(model=str(model[0]), roi=(0, 0, 60, 60)).open()
    folder, _ = make_model(tmp_path / "rgb", modalities="rgb")
    with pytest.raises(UsageError, match="takes rgb alone, modalities is events"):
        Classify(model=str(folder), modalities="events").open()
    (folder / "weights.safetensors").write_bytes(b"cut")
    with pytest.raises(InputError, match="not a whole safetensors file"):
        Classify(model=str(folder)).open()


def test_light_to_import() -> None:
    """`evpipe check` reads the signature of both operators without torch and numba."""
    heavy = {"torch", "cv2", "numba", "PySide6"}
    code = f"import sys, operators.mmhco, operators.pair; print(sorted({heavy!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_card_is_strict(model, tmp_path: Path) -> None:
    """What the card does not know is refused, by file and line."""
    text = (model[0] / "model.yaml").read_text()
    (tmp_path / "model.yaml").write_text(text.replace("route_scope:", "route_scop:"))
    with pytest.raises(UsageError, match=r"model\.yaml:\d+.*route_scop"):
        read_fusion_card(tmp_path)
    assert read_fusion_card(model[0]).input.pairs == 4

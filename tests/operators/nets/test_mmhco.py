"""Fusion networks: counts, one whole layer by its vectors, streams against clips, missing pictures, frozen copies."""

import math
from typing import Any

import pytest
import torch

from evpipe.errors import UsageError
from operators.fusion_network import FusionNetwork, macs
from operators.nets.heat_block import HeatBlock, HeatLayer, Streams
from operators.nets.mmhco import Mmhco, mean_of_pairs
from operators.nets.routing import Routing

torch.set_num_threads(1)
F64 = torch.float64
SMALL: dict[str, Any] = {"kind": "nano", "size": (33, 48)}
VARIANTS: list[dict[str, Any]] = [
    {},
    {"norm": "ln", "order": "post", "layer_scale": 0.5},
    {"norm": "bn", "order": "post", "layer_scale": 0.5, "k_act": "softplus"},
    {"norm": "ln", "fve_mode": "chain", "fve_context": "frame"},
    {"fve_context": "running", "route_scope": "picture", "route_layers": "reference", "layer_scale": 0.5},
    {"fve_mode": "chain", "fve_context": "running", "route_use": "soft"},
    {"route_force": 2, "missing": "fill"},
    {"modalities": "events"},
]


def pictures(pairs: int, size: tuple[int, int] = (33, 48), seed: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(pairs, 3, *size, generator=generator), torch.randn(pairs, 3, *size, generator=generator)


def used(streaming: bool = False, **fields: Any) -> Mmhco:
    """A network with random weights everywhere and statistics of what it saw, in eval mode."""
    torch.manual_seed(0)
    network = FusionNetwork(**(SMALL | fields))
    net = Mmhco(network, 5)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(torch.randn_like(p) * 0.2)
        for module in net.modules():
            if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
                module.momentum = 0.5
        for step in range(5):
            net.pair_logits(*pictures(6, network.layout.size, step))
    net.eval()
    if streaming:
        live = Mmhco(network, 5, streaming=True)
        live.load_state_dict(net.state_dict())
        return live
    return net


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def million(parts: dict[str, int]) -> dict[str, float]:
    return {name: round(number / 1e6, 2) for name, number in parts.items()}


def test_counts_and_macs_of_tiny() -> None:
    net = Mmhco(FusionNetwork(kind="tiny"), 300)
    assert count(net) == 2_399_306
    assert count(Mmhco(FusionNetwork(kind="tiny"), 10)) == 2_343_336
    assert count(net.stem) == 5_184
    assert [count(stage) for stage in net.stages] == [31_046, 110_982, 836_620, 922_246]
    assert [count(down) for down in net.downs] == [18_560, 73_984, 221_568]
    assert net.embeddings is not None
    assert count(net.embeddings) == 120_832
    assert count(net.head_norm) + count(net.classifier) == 384 + 57_900
    assert count(net.stages[0][0]) == 15_523
    parts = macs(FusionNetwork(kind="tiny"), 300)
    assert million(parts) == {
        "stem": 12.98, "depthwise": 2.47, "linear": 57.52, "dct": 23.27, "perceptron": 76.55, "down": 25.95,
        "router": 0.07, "gate": 38.27,
    }  # fmt: skip
    assert sum(parts.values()) / 1e6 == pytest.approx(237.1, abs=0.05)
    assert (sum(parts.values()) - parts["gate"]) / 1e6 == pytest.approx(198.8, abs=0.05)


def test_counts_and_macs_of_nano() -> None:
    net = Mmhco(FusionNetwork(kind="nano"), 300)
    assert count(net) == 366_827
    assert count(Mmhco(FusionNetwork(kind="nano"), 10)) == 338_697
    assert count(net.stem) == 1_440
    assert [count(stage) for stage in net.stages] == [4_179, 14_435, 106_758, 116_899]
    assert [count(down) for down in net.downs] == [4_672, 18_560, 55_488]
    parts = macs(FusionNetwork(kind="nano"), 300)
    assert million(parts) == {
        "stem": 1.03, "depthwise": 0.15, "linear": 1.85, "dct": 0.73, "perceptron": 2.39, "down": 1.62,
        "router": 0.01, "gate": 1.2,
    }  # fmt: skip
    assert sum(parts.values()) / 1e6 == pytest.approx(8.98, abs=0.01)


@pytest.mark.parametrize(
    ("kind", "trainable", "frozen", "fusion"),
    [
        ("t", 30_853_480, 29_558_056, 46_996_644),
        ("s", 52_220_392, 50_054_056, 76_749_768),
        ("b", 92_132_328, 87_498_984, 134_841_416),
    ],
)
def test_counts_of_the_large_ones(kind: Any, trainable: int, frozen: int, fusion: int) -> None:
    """One modality: the network it builds on, also with decays in the place of what makes them; the released fusion."""
    with torch.device("meta"):
        net = Mmhco(FusionNetwork(kind=kind, modalities="rgb"), 1000)
        reference = FusionNetwork(
            kind=kind, fve_mode="chain", route_scope="picture", route_layers="reference",
            layer_scale=None if kind != "t" else 1e-5,
        )  # fmt: skip
        released = Mmhco(reference, 300)
    assert count(net) == trainable
    layout = net.network.layout
    kept = [H * W * C * depth for (H, W), C, depth in zip(layout.maps(), layout.dims, layout.depths, strict=True)]
    makers = [count(layer.to_k) for layer in net.modules() if isinstance(layer, HeatLayer)]
    assert net.embeddings is not None
    assert count(net) - sum(makers) - count(net.embeddings) + sum(kept) == frozen
    assert count(released) - count(released.classifier) == fusion
    assert sum(count(layer.router) for layer in released.modules() if isinstance(layer, HeatLayer)) > 0
    if kind == "s":
        assert count(released) == 76_980_468
        assert released.embeddings is not None
        assert count(released.embeddings) == 6_972_672 + 602_112
        assert round(sum(macs(reference, 300).values()) / 1e9, 2) == 19.65


def layer_of_vectors() -> tuple[HeatLayer, torch.Tensor, list[torch.Tensor]]:
    network = FusionNetwork(route_hidden=4)
    layer = HeatLayer(4, network.layout, network).double().eval()
    with torch.no_grad():
        first = 0
        for p in layer.parameters():
            p.copy_(0.3 * torch.sin(torch.arange(first, first + p.numel(), dtype=F64) + 1).reshape(p.shape))
            first += p.numel()
        for module in layer.modules():
            if isinstance(module, (torch.nn.LayerNorm, torch.nn.BatchNorm1d)):
                module.weight.fill_(1)
                module.bias.zero_()
    j = torch.arange(128, dtype=F64)
    maps = torch.cos(j).reshape(2, 4, 4, 4).permute(0, 2, 3, 1)
    return layer, maps, [torch.sin(j[:64]).reshape(4, 4, 4), torch.cos(j[:64]).reshape(4, 4, 4)]


def test_parameters_of_a_layer_lie_in_the_order_of_its_vectors() -> None:
    layer, _, _ = layer_of_vectors()
    shapes = [tuple(p.shape) for p in layer.parameters()]
    assert shapes == [
        (4, 1, 3, 3), (4,), (8, 4), (8,), (4, 4), (4,), (4,), (4,), (4, 4), (4,),
        (8, 8), (8,), (8,), (8,), (8,), (8,), (4, 8), (4,), (3, 4), (3,),
    ]  # fmt: skip


def test_inside_of_a_whole_layer() -> None:
    layer, maps, tables = layer_of_vectors()
    with torch.no_grad():
        linear = layer.linear(layer.depthwise(maps))
        assert layer.to_k is not None
        k = [torch.relu(layer.to_k(table)) for table in tables]
        heated = layer._heated(linear[..., :4], list(tables), Streams(1, 1, 1))
    first = (-0.168470, -0.641949, 0.301956, -0.030588, 0.143572, 0.558921, -0.506046, -0.215522)
    assert linear[0, 0, 0].tolist() == pytest.approx(first, abs=1e-6)
    assert k[0][1, 2].tolist() == pytest.approx((0.704461, 0, 0, 0.553963), abs=1e-6)
    assert k[1][1, 2].tolist() == pytest.approx((0.250547, 0, 0.164408, 0), abs=1e-6)
    assert heated[0, 0, 0].tolist() == pytest.approx((-0.307369, -0.749189, 0.116343, -0.110705), abs=1e-6)
    assert heated[1, 3, 2].tolist() == pytest.approx((-0.632294, -0.292553, 0.201200, -0.317596), abs=1e-6)
    assert heated.sum((1, 2, 3)).tolist() == pytest.approx((-9.513286, -9.828401), abs=1e-6)
    assert heated.abs().sum((1, 2, 3)).tolist() == pytest.approx((16.422805, 19.345192), abs=1e-6)


@pytest.mark.parametrize(
    ("form", "rgb", "events", "sums"),
    [
        (0, (-0.109205, -0.096167, 0.471317, 0.176781), (-0.226015, 0.014047, 0.444046, 0.102218),
         (12.098718, 27.130178)),
        (1, (-0.109940, -0.092344, 0.467056, 0.178529), (-0.239237, 0.016037, 0.454666, 0.086344),
         (11.718378, 27.425301)),
        (2, (-0.109025, -0.097717, 0.473163, 0.175917), (-0.256223, 0.025046, 0.459875, 0.070525),
         (11.993694, 27.318893)),
    ],
)  # fmt: skip
def test_whole_layer(form: int, rgb: tuple[float, ...], events: tuple[float, ...], sums: tuple[float, float]) -> None:
    layer, maps, tables = layer_of_vectors()
    with torch.no_grad():
        out, routed = layer(maps, list(tables), Streams(1, 1, 1), Routing(force=form))
        layer.freeze(list(tables))
        frozen, _ = layer(maps, [None, None], Streams(1, 1, 1), Routing(force=form))
    assert routed is not None
    assert routed.forms.tolist() == [[form]]
    assert out[0, 0, 0].tolist() == pytest.approx(rgb, abs=1e-6)
    assert out[1, 3, 2].tolist() == pytest.approx(events, abs=1e-6)
    assert (out.sum().item(), out.abs().sum().item()) == pytest.approx(sums, abs=1e-6)
    torch.testing.assert_close(frozen, out)


@pytest.mark.parametrize("fields", VARIANTS)
def test_every_parameter_learns(fields: dict[str, Any]) -> None:
    """Frequency embeddings too. One step of several clips, so that each block draws each form."""
    torch.manual_seed(0)
    net = Mmhco(FusionNetwork(**(SMALL | fields)), 5)
    rgb, events = (maps.reshape(6, 4, 3, 33, 48) for maps in pictures(24))
    answer = net.clip(rgb, events)
    loss = torch.nn.functional.cross_entropy(answer.logits, torch.arange(6) % 5) + 0.01 * answer.imbalance
    loss.backward()
    silent = {name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    if "route_force" in fields:
        silent = {name for name in silent if ".router." not in name}
    assert not silent
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("fields", VARIANTS)
def test_a_stream_of_pairs_equals_the_clip(fields: dict[str, Any]) -> None:
    """Pair by pair, frozen or not; evaluation repeats its bits."""
    net = used(streaming=True, **fields)
    frozen = net.frozen()
    rgb, events = pictures(6)
    with torch.no_grad():
        clip = net.clip(rgb[None], events[None]).logits[0]
        assert torch.equal(net.clip(rgb[None], events[None]).logits[0], clip)
        pairs = [net.pair_logits(rgb[i : i + 1], events[i : i + 1]) for i in range(6)]
        batch = net.pair_logits(rgb, events)
        live = [frozen.pair_logits(rgb[i : i + 1], events[i : i + 1]) for i in range(6)]
    torch.testing.assert_close(torch.cat([pair.logits for pair in pairs]), batch.logits, atol=2e-5, rtol=1e-5)
    assert torch.equal(torch.cat([pair.routes for pair in pairs]), batch.routes)
    torch.testing.assert_close(mean_of_pairs(torch.cat([pair.logits for pair in pairs])), clip, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(torch.cat([pair.logits for pair in live]), batch.logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(torch.cat([pair.margins for pair in live]), batch.margins, atol=1e-4, rtol=1e-3)
    assert batch.logits.std() > 0.01
    assert not any(isinstance(m, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)) for m in frozen.modules()) or (
        fields.get("route_layers") == "reference"
    )


def test_routes_depend_on_the_pictures_and_are_told() -> None:
    for scope, shape in (("pair", (32, 5)), ("picture", (32, 5, 2))):
        net = used(route_scope=scope)
        with torch.no_grad():
            answer = net.pair_logits(*pictures(32))
        assert answer.routes.shape == answer.margins.shape == shape
        assert len(answer.routes.unique()) > 1
        assert (answer.margins > 0).all()


@pytest.mark.parametrize("context", ["clip", "batch"])
def test_contexts_that_look_aside_are_not_streamed(context: Any) -> None:
    with pytest.raises(UsageError, match=f"fve_context '{context}' looks at pairs beside"):
        Mmhco(FusionNetwork(fve_context=context), 5, streaming=True)
    net = used(fve_context=context)
    rgb, events = pictures(6)
    with torch.no_grad():
        alone = net.clip(rgb[None, :3], events[None, :3]).logits[0]
        among = net.clip(rgb.reshape(2, 3, 3, 33, 48), events.reshape(2, 3, 3, 33, 48)).logits[0]
    assert torch.allclose(alone, among, atol=1e-4) == (context == "clip")


@pytest.mark.parametrize("mode", ["stage", "chain"])
def test_running_context_learns_in_training_alone(mode: Any) -> None:
    net = used(fve_context="running", fve_mode=mode)
    assert net.embeddings is not None
    buffers = {name: buffer.clone() for name, buffer in net.embeddings.named_buffers()}
    assert len(buffers) == 8
    with torch.no_grad():
        net.pair_logits(*pictures(4))
        assert all(torch.equal(buffer, buffers[name]) for name, buffer in net.embeddings.named_buffers())
        net.train().pair_logits(*pictures(4))
        assert not any(torch.equal(buffer, buffers[name]) for name, buffer in net.embeddings.named_buffers())


def test_skipped_pictures_leave_no_trace() -> None:
    net = used()
    rgb, events = pictures(4)
    valid = torch.tensor([[True, True], [True, False], [False, True], [True, True]])
    with torch.no_grad():
        answer = net.pair_logits(rgb, events, valid)
        other = net.pair_logits(
            torch.where(valid[:, 0, None, None, None], rgb, torch.nan),
            torch.where(valid[:, 1, None, None, None], events, torch.nan),
            valid,
        )
        whole = net.pair_logits(rgb, events)
        alone = net.pair_logits(None, events[2:3])
        mean = net.clip(rgb[None], events[None], valid[None]).logits[0]
        net.route_force = 0
        apart = net.pair_logits(rgb, events).logits, net.pair_logits(rgb, None).logits, net.pair_logits(None, events)
    assert torch.equal(answer.logits, other.logits)
    torch.testing.assert_close(answer.logits[[0, 3]], whole.logits[[0, 3]], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(answer.logits[2], alone.logits[0], atol=1e-5, rtol=1e-5)
    assert (answer.routes[1:3] == 0).all()
    assert (answer.margins[1:3] == math.inf).all()
    torch.testing.assert_close(mean, mean_of_pairs(answer.logits), atol=1e-6, rtol=0)
    torch.testing.assert_close(apart[0], (apart[1] + apart[2].logits) / 2, atol=1e-5, rtol=1e-5)


def test_filled_pictures_are_empty_ones() -> None:
    net = used(missing="fill")
    rgb, events = pictures(2)
    valid = torch.tensor([[True, True], [False, True]])
    white = (255 - torch.tensor([123.675, 116.28, 103.53])) / torch.tensor([58.395, 57.12, 57.375])
    assert white.tolist() == pytest.approx([2.2489, 2.4286, 2.6400], abs=1e-4)
    with torch.no_grad():
        answer = net.pair_logits(rgb, events, valid)
        black = torch.where(valid[:, 0, None, None, None], rgb, 0.0)
        assert torch.equal(net.pair_logits(black, events).routes, answer.routes)
        no_rgb = net.pair_logits(None, events)
        torch.testing.assert_close(no_rgb.logits[1], answer.logits[1], atol=1e-5, rtol=1e-5)
        given = net.pair_logits(rgb, white[:, None, None].expand(2, 3, 33, 48))
        assert torch.equal(given.routes, net.pair_logits(rgb, None).routes)


def test_no_picture_is_no_answer() -> None:
    net = used()
    rgb, events = pictures(3)
    valid = torch.tensor([[True, True], [False, False], [True, True]])
    with pytest.raises(ValueError, match="pair 1 of the batch has no picture"):
        net.pair_logits(rgb, events, valid)
    with torch.no_grad():
        without = net.clip(rgb[None], events[None], valid[None]).logits[0]
        torch.testing.assert_close(without, net.clip(rgb[None, ::2], events[None, ::2]).logits[0])
    with pytest.raises(ValueError, match="clip 0 of the batch has no pair"):
        net.clip(rgb[:, None], events[:, None], torch.tensor([[[False, False]], [[True, True]], [[True, True]]]))
    with pytest.raises(ValueError, match="neither RGB nor event pictures"):
        net.clip(None, None)
    with pytest.raises(ValueError, match=r"one shape \[B, 3, H, W\]; found \[3, 3, 33, 48\] and \[2, 3, 33, 48\]"):
        net.pair_logits(rgb, events[:2])
    with pytest.raises(ValueError, match=r"valid must have shape \[3, 2\]"):
        net.pair_logits(rgb, events, valid[:2])
    with pytest.raises(ValueError, match="has no picture of events"):
        used(modalities="events").pair_logits(rgb, None)


def test_other_sizes_resize_the_embeddings() -> None:
    """37 x 50 px: odd maps everywhere; frozen for that size, nothing else is answered."""
    for mode in ("stage", "chain"):
        net = used(fve_mode=mode)
        rgb, events = pictures(2, (37, 50))
        frozen = net.frozen((37, 50))
        with torch.no_grad():
            expected = net.pair_logits(rgb, events)
            torch.testing.assert_close(frozen.pair_logits(rgb, events).logits, expected.logits, atol=1e-4, rtol=1e-4)
        with pytest.raises(ValueError, match=r"pictures of \[33, 48\]: the network was frozen for \[37, 50\]"):
            frozen.pair_logits(*pictures(1))
    assert FusionNetwork(size=(37, 50)).layout.maps() == [(10, 13), (5, 7), (3, 4), (2, 2)]


def test_frozen_and_streaming_networks_are_not_trained() -> None:
    net = used(streaming=True)
    for fixed in (net, net.frozen()):
        assert not fixed.training
        with pytest.raises(UsageError, match="cannot be trained"):
            fixed.train()
    with pytest.raises(UsageError, match="frozen already"):
        net.frozen().frozen()
    assert net.embeddings is not None, "the network itself stays as it was"


def test_weights_go_from_one_network_to_another() -> None:
    """What is computed from weights is no part of them."""
    net = used(norm="ln")
    other = Mmhco(net.network, 5)
    other.load_state_dict(net.state_dict())
    rgb, events = pictures(2)
    with torch.no_grad():
        assert torch.equal(other.eval().pair_logits(rgb, events).logits, net.pair_logits(rgb, events).logits)


def test_stochastic_depth_is_for_training() -> None:
    network = FusionNetwork(drop_path=0.5)
    blocks = [block for block in Mmhco(network, 5).modules() if isinstance(block, HeatBlock)]
    assert [block.drop_path for block in blocks] == pytest.approx([0, 0.125, 0.25, 0.375, 0.5])
    rows = torch.ones(4000, 1, 1, 1)
    torch.manual_seed(0)
    dropped = blocks[-1]._dropped(rows)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert dropped.mean().item() == pytest.approx(1, abs=0.1)
    assert torch.equal(blocks[-1].eval()._dropped(rows), rows)

"""Whole networks against a plain loop over samples, steps and layers, in float64."""

import itertools

import msgspec
import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, conv2d

from operators.nets.lif import LIF
from operators.nets.steps import Steps
from operators.nets.stored import build
from operators.nets.ta_snn import Block, Mode, TaSnn, Weight
from operators.network import Attention, Network, Neuron

torch.set_num_threads(1)
F64 = torch.float64
MODES: tuple[Mode, ...] = ("skip", "decay", "zero_frame")
STEP_FORMS = ("none", "csa_step", "asa_step")
OVER_SPACE = (*STEP_FORMS, "tcsa_window", "asa")
GATES = torch.tensor([[1, 0, 0, 1, 1, 0], [0, 1, 0, 0, 0, 1], [1, 1, 1, 1, 1, 1]], dtype=torch.bool)


def clips(batch: int, frames: int, dtype: torch.dtype = F64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    rates = torch.rand(batch, frames, 1, 8, 8, generator=generator).repeat_interleave(4, 3).repeat_interleave(4, 4)
    return torch.poisson((rates * 0.5).expand(-1, -1, 2, -1, -1), generator=generator).to(dtype)


def used(network: Network, frames: torch.Tensor, classes: int = 5) -> TaSnn:
    """The network with random weights everywhere and batch norms that have seen data, in eval mode."""
    torch.manual_seed(0)
    net = build(network, classes, frames.shape[1]).to(frames.dtype)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(torch.randn_like(p) * 0.05)
        net.set_frame_statistics(frames.mean().item(), frames.mean((2, 3, 4)).var().item())
        net.train()
        for block in net.layers():
            block.norm.momentum = 0.5
        for _ in range(12):
            net(frames)
        net.layers()[-1].norm.bias.add_(0.6)  # so that answers are not 0
    return net.eval()


def variant(**fields: object) -> Network:
    attention = {k: v for k, v in fields.items() if k in Attention.__struct_fields__}
    neuron = {k: v for k, v in fields.items() if k in Neuron.__struct_fields__}
    return Network(attention=Attention(**{"reduction": 2, **attention}), neuron=Neuron(**neuron))


def reference(net: TaSnn, clip: torch.Tensor, kept: list[bool], mode: Mode, weight: Weight) -> torch.Tensor:
    """Rates of one clip [T, 2, H, W], without attention over space."""
    T = len(clip)
    soft = net.frame_scores(clip.mean((1, 2, 3))[None])[0]
    if net.attention is None or weight == "one":
        soft = torch.ones(T, dtype=F64)
    runs = [True] * T if mode == "zero_frame" else kept
    x = {t: clip[t] * soft[t] * (kept[t] if mode == "zero_frame" else 1) for t in range(T) if runs[t]}
    for block in net.layers():
        currents = {}
        for t, frame in x.items():
            if isinstance(block.linear, nn.Conv2d):
                currents[t] = avg_pool2d(block.norm(block.linear(frame[None])), block.pool.kernel_size)[0]
            else:
                currents[t] = block.norm(block.linear(frame.flatten()[None]))[0]
        scores = torch.ones(T, dtype=F64)
        if block.attention is not None:
            means, maxima = ({t: f(c) for t, c in currents.items()} for f in (torch.mean, torch.amax))
            slots = [torch.stack([s.get(t, sum(s.values()) / len(s)) for t in range(T)])[None] for s in (means, maxima)]
            scores = block.attention(*slots)[0]
        x, h, neuron = {}, 0, block.neurons.neuron
        for t in range(T):
            if not runs[t]:
                h = h * neuron.decay if mode == "decay" else h
                continue
            u = h + scores[t] * currents[t]
            s = (u >= neuron.threshold).to(F64)
            x[t] = s if neuron.output == "spike" else u.clamp(min=0)
            h = neuron.decay * (
                u - s * neuron.threshold if neuron.reset == "soft" else s * neuron.v_reset + (1 - s) * u
            )
    return sum(x.values()) / (len(x) if mode == "skip" else T)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "fields",
    [
        {"frames": "none", "currents": "none"},
        {"frames": "c2", "currents": "se"},
        {"frames": "se", "currents": "c2", "output": "relu"},
        {"frames": "none", "currents": "se", "squeeze": "avgmax", "bias": False, "reset": "soft", "decay": 0.9},
        {"frames": "c2", "currents": "none", "v_reset": 0.3},
    ],
)
def test_answers_are_those_of_the_plain_loop(fields: dict[str, object], mode: Mode) -> None:
    """Every rule of scores, gate and weight, with as many frames kept as differ between samples."""
    frames = clips(3, 6)
    net = used(variant(**fields), frames)
    with torch.no_grad():
        for kept, weight in itertools.product((None, GATES), ("one", "score")):
            rates = net.answer(frames, kept, mode=mode, weight=weight).rates
            rows = [[True] * 6] * 3 if kept is None else kept.tolist()
            for sample in range(3):
                expected = reference(net, frames[sample], rows[sample], mode, weight)
                torch.testing.assert_close(rates[sample], expected, atol=1e-12, rtol=0)
        assert (net.answer(frames, record=True).firing > 0).all()
    assert len({tuple(row) for row in rates.tolist()}) > 1


@pytest.mark.parametrize(
    ("mode", "potentials", "spikes"),
    [
        ("zero_frame", [0.25, 0.275, 0.2025, 0.32075], 1 / 4),
        ("decay", [0.25, 0.275, 0, 0.28475], 0),
        ("skip", [0.25, 0.275, 0.3425], 1 / 3),
    ],
)
def test_gate_modes_of_the_sheet(mode: Mode, potentials: list[float], spikes: float) -> None:
    """One neuron whose current is input + 0.12, which an empty frame leaves."""
    frames = torch.tensor([0.13, 0.08, 5.0, 0.14], dtype=F64).reshape(1, 4, 1, 1, 1) / 2
    kept = torch.tensor([[True, True, False, True]])
    for output, expected in (("relu", sum(potentials) / len(potentials)), ("spike", spikes)):
        block = Block(nn.Linear(1, 1), LIF(Neuron(output=output))).double()
        with torch.no_grad():
            block.linear.weight.fill_(1)
            block.linear.bias.fill_(0.12)
            block.norm.running_var.fill_(1 - block.norm.eps)
            answer = TaSnn(None, [block]).eval().answer(frames.expand(-1, -1, 2, -1, -1), kept, mode=mode)
        assert answer.rates.item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("spatial", OVER_SPACE)
def test_gates_that_drop_nothing_change_nothing(spatial: str) -> None:
    frames = clips(3, 6)
    net = used(variant(spatial=spatial), frames)
    with torch.no_grad():
        whole = net.answer(frames, record=True)
        for mode in MODES:
            gated = net.answer(frames, torch.ones(3, 6, dtype=torch.bool), mode=mode, record=True)
            torch.testing.assert_close(gated, whole, atol=1e-12, rtol=0)
        plain = TaSnn(None, net.layers()).eval().answer(frames)
        torch.testing.assert_close(net.answer(frames, weight="one").rates, plain.rates)


@pytest.mark.parametrize("spatial", OVER_SPACE)
def test_samples_do_not_see_each_other(spatial: str) -> None:
    """Alone, in a batch or permuted, with frames dropped or not, a clip is answered alike."""
    frames = clips(4, 6)
    gates = torch.cat((GATES, GATES[:1].flip(1)))
    net = used(variant(spatial=spatial), frames)
    order = torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        for kept in (None, gates):
            for mode in MODES:
                whole = net.answer(frames, kept, mode=mode).rates
                permuted = net.answer(frames[order], None if kept is None else kept[order], mode=mode).rates
                torch.testing.assert_close(permuted, whole[order], atol=1e-12, rtol=0)
                alone = net.answer(frames[1:2], None if kept is None else kept[1:2], mode=mode).rates
                torch.testing.assert_close(alone, whole[1:2], atol=1e-12, rtol=0)
    assert len({tuple(row) for row in whole.tolist()}) > 1


@pytest.mark.parametrize("spatial", STEP_FORMS)
@pytest.mark.parametrize("output", ["spike", "relu"])
def test_one_step_at_a_time_equals_the_whole_sequence(spatial: str, output: str) -> None:
    block = build(variant(spatial=spatial, output=output), 5, 6).eval().layers()[0]
    generator = torch.Generator().manual_seed(0)
    currents = torch.randn(2, 9, 16, 8, 8, generator=generator)
    scores = torch.rand(2, 9, generator=generator)
    with torch.no_grad():
        whole, last = block.fire(currents, scores)
        parts, state = [], None
        for first, end in ((0, 4), (4, 5), (5, 9)):
            outputs, state = block.fire(currents[:, first:end], scores[:, first:end], state)
            parts.append(outputs)
    assert torch.equal(torch.cat(parts, 1), whole)
    assert torch.equal(state, last)
    assert whole.max() > 0


def test_nothing_kept_is_no_answer() -> None:
    frames = clips(2, 6)
    kept = torch.tensor([[True] * 6, [False] * 6])
    for spatial in OVER_SPACE:
        net = used(variant(spatial=spatial), frames)
        with torch.no_grad():
            for some, gates in ((frames, kept), (frames[1:], kept[1:])):
                for mode in ("skip", "decay"):
                    answer = net.answer(some, gates, mode=mode, record=True)
                    assert (answer.rates[-1] == 0).all()
                    assert (answer.firing[-1] == 0).all()
                    assert answer.rates.isfinite().all()


def test_firing_is_the_mean_output_by_layer() -> None:
    frames = clips(3, 6)
    net = used(variant(), frames)
    heard: list[torch.Tensor] = []
    for block in net.layers():
        block.register_forward_hook(lambda module, inputs, outputs: heard.append(outputs))
    with torch.no_grad():
        whole = net.answer(frames, record=True)
        for layer, outputs in enumerate(heard):
            torch.testing.assert_close(whole.firing[:, layer], outputs.reshape(3, -1).mean(1))
        torch.testing.assert_close(whole.firing[:, -1], whole.rates.mean(1))
        heard.clear()
        gated = net.answer(frames, GATES, mode="decay", record=True)
        first = heard[0][: int(GATES[0].sum())]
        torch.testing.assert_close(gated.firing[0, 0], first.mean())
        assert net.answer(frames).firing.shape == (3, 0)


@pytest.mark.parametrize("spatial", OVER_SPACE)
def test_every_parameter_learns(spatial: str) -> None:
    frames = clips(3, 6, torch.float32)
    net = used(variant(frames="se", spatial=spatial, squeeze="avgmax", reduction=1), frames).train()
    (net(frames) * torch.arange(5)).sum().backward()
    # Batch normalisation takes the linear maps' biases off again.
    learning = {name: p.grad for name, p in net.named_parameters() if not name.endswith("linear.bias")}
    assert all(grad is not None and grad.isfinite().all() for grad in learning.values())
    assert not {name for name, grad in learning.items() if (grad == 0).all()}


def test_scaling_the_first_layers_sums_equals_scaling_the_frames() -> None:
    """Values and gradients, of convolutions and of dense maps."""
    generator = torch.Generator().manual_seed(0)
    steps = Steps(2, 3)
    for linear_map, shape in ((nn.Conv2d(2, 4, 3, padding=1), (6, 2, 8, 8)), (nn.Linear(9, 4), (6, 9))):
        block = Block(linear_map, LIF(Neuron(output="relu", decay=0))).double().eval()
        x = torch.rand(shape, dtype=F64, generator=generator)
        scores = torch.rand(6, dtype=F64, generator=generator, requires_grad=True)
        expected = block.norm(linear_map(x * scores.reshape(-1, *(1,) * (len(shape) - 1)))).relu()
        torch.testing.assert_close(block(x, steps, scores), expected)
        for training in (True, False):
            block.train(training)
            assert torch.autograd.gradcheck(lambda d, block=block, x=x: block(x, steps, d), scores)


def test_folding_of_the_sheet() -> None:
    """A score scales the frame and not the constant of the batch norm."""
    block = build(Network(), 3, 16).layers()[0].double()
    with torch.no_grad():
        for value, tensor in ((0.5, block.linear.weight), (0.1, block.linear.bias)):
            tensor.fill_(value)
        for value, name in ((0.2, "running_mean"), (0.25, "running_var"), (1.2, "weight"), (-0.1, "bias")):
            getattr(block.norm, name).fill_(value)
        weights, constant = block.folded()
    assert (weights[0, 0, 0, 0] / 0.5).item() == pytest.approx(2.399952, abs=1e-6)
    assert constant[0].item() == pytest.approx(-0.339995, abs=1e-6)
    assert (weights[0, 0, 0, 0] * 3).item() == pytest.approx(3.599928, abs=1e-6)
    assert (0.6 * weights[0, 0, 0, 0] * 3 + constant[0]).item() == pytest.approx(1.819962, abs=1e-6)
    assert (0.6 * (weights[0, 0, 0, 0] * 3 + constant[0])).item() == pytest.approx(1.955960, abs=1e-6)


@pytest.mark.parametrize("kind", ["gesture", "shd"])
def test_other_tables_against_folded_maps(kind: str) -> None:
    """Polarities summed or not, pooling or not: the currents of the first layer, by the folded weights."""
    torch.manual_seed(0)
    size = {"gesture": (32, 32), "shd": (1, 700)}[kind]
    frames = torch.poisson(torch.full((2, 3, 2, *size), 0.3)).double()
    attention = Attention(frames="none", currents="none")
    network = Network(kind=kind, attention=attention, neuron=Neuron(output="relu", decay=0))
    net = used(network, frames)
    heard: list[torch.Tensor] = []
    net.layers()[0].register_forward_hook(lambda module, inputs, outputs: heard.append(outputs))
    with torch.no_grad():
        net(frames)
        weights, constant = net.layers()[0].folded()
        if kind == "shd":
            expected = (frames[:, :, 0, 0] + frames[:, :, 1, 0]).flatten(0, 1) @ weights.T + constant
        else:
            expected = conv2d(frames.flatten(0, 1), weights, constant, padding=1)
    torch.testing.assert_close(heard[0], expected.relu())


def test_dropout_is_before_the_last_layer_in_training_alone() -> None:
    net = build(Network(kind="shd"), 20, 10)
    assert [block.dropout.p if isinstance(block.dropout, nn.Dropout) else 0 for block in net.layers()] == [0, 0, 0.5]
    torch.manual_seed(0)
    frames = torch.poisson(torch.full((2, 10, 2, 1, 700), 0.3))
    net.eval()
    with torch.no_grad():
        assert torch.equal(net(frames), net(frames))


def test_channels_last_gives_the_same_answers() -> None:
    frames = clips(3, 6, torch.float32)
    for spatial in OVER_SPACE:
        net = used(variant(spatial=spatial, output="relu"), frames)
        with torch.no_grad():
            plain = net.answer(frames, GATES).rates
            torch.testing.assert_close(net.to(memory_format=torch.channels_last).answer(frames, GATES).rates, plain)


def test_statistics_of_frames_belong_to_their_attention() -> None:
    for rule in ("se", "c2"):
        net = build(variant(frames=rule), 3, 6)
        net.set_frame_statistics(0.5, 0.25)
        assert (net.attention.mean.item(), net.attention.variance.item()) == (0.5, 0.25)
    net = build(msgspec.structs.replace(variant(frames="none")), 3, 6)
    net.set_frame_statistics(0.5, 0.25)
    assert torch.equal(net.frame_scores(torch.rand(2, 6)), torch.ones(2, 6))

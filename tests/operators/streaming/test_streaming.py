"""Streaming forms and engines against the network as it was trained, and against the sheets' numbers."""

import itertools

import numpy as np
import pytest
import torch

from evpipe.errors import UsageError
from operators.engines import choice as engines
from operators.engines.seam import Engine
from operators.nets.stored import build
from operators.nets.ta_snn import TaSnn
from operators.nets.temporal_attention import C2Scores, SeScores
from operators.network import Attention, Network, Neuron
from operators.streaming.causal import Causal
from operators.streaming.gate import Gate, remembered
from operators.streaming.scores import CausalScores, WindowScores
from operators.streaming.window import Windows

torch.set_num_threads(1)

T = 16
SHIPPED = Network()
PLAIN = Attention(frames="none", currents="none")
TOLERANCE = 1e-5
# What is compiled takes seconds for every network: it has tests of its own.
ENGINES = [name for name in engines.installed() if name != "compile"]


def stream(frames: int = 40, size: tuple[int, int] = (32, 32), seed: int = 0) -> np.ndarray:
    """Counts of consecutive frames, busy and quiet ones."""
    rng = np.random.default_rng(seed)
    rates = rng.random((frames, 1, *size)) ** 4 * rng.random((frames, 1, 1, 1)) * 1.5
    return rng.poisson(np.broadcast_to(rates, (frames, 2, *size))).astype(np.float32)


def used(network: Network = SHIPPED, frames: int = T, size: tuple[int, int] = (32, 32)) -> TaSnn:
    """A network with random weights everywhere whose batch norms have seen data."""
    torch.manual_seed(3)
    net = build(network, 3, frames).train()
    for block in net.layers():
        block.norm.momentum = 0.5
    seen = stream(3 * frames, size)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.03)
        for _ in range(4):
            net(torch.from_numpy(seen).unflatten(0, (3, frames)))
    means = seen.mean((1, 2, 3))
    net.set_frame_statistics(means.mean().item(), means.var().item())
    return net.eval()


def engine(name: str, net: TaSnn, frames: int = T, size: tuple[int, int] = (32, 32)) -> Engine:
    return engines.make(name, net, size, frames, 1)


def answer(net: TaSnn, frames: np.ndarray, **options) -> torch.Tensor:
    with torch.no_grad():
        return net.answer(torch.from_numpy(frames)[None], **options)


ATTENTIONS = {
    "shipped": Attention(),
    "plain": PLAIN,
    "se, c2": Attention(frames="se", currents="c2"),
    "maxima": Attention(squeeze="avgmax", bias=False),
    "tcsa_window": Attention(spatial="tcsa_window"),
    "csa_step": Attention(spatial="csa_step"),
    "asa": Attention(spatial="asa"),
    "asa_step": Attention(spatial="asa_step"),
}


ALWAYS = ("event_driven", "torch")
CASES = [
    *((name, attention, "spike") for name in ALWAYS for attention in ATTENTIONS),
    *(("event_driven", attention, "relu") for attention in ("shipped", "csa_step")),
    *((name, "shipped", output) for name in ENGINES if name not in ALWAYS for output in ("spike", "relu")),
]


@pytest.mark.parametrize(("name", "attention", "output"), CASES)
def test_windows_equal_the_network_on_each_window_alone(name, attention, output) -> None:
    """Rates and scores to 1e-5 at any overlap, for every attention and every gate, skipped and empty frames alike."""
    neuron = Neuron() if output == "spike" else Neuron(output="relu", reset="soft", decay=0.5)
    net, frames = used(Network(attention=ATTENTIONS[attention], neuron=neuron)), stream(26)
    gates = [Gate(), Gate("min_events", 300.0, "zero_frame")]
    if net.attention is not None:
        gates += [
            Gate("threshold", 0.5, "zero_frame"),
            Gate("quantile", 0.4, "skip", "one"),
            Gate("quantile", 0.4, "decay"),
        ]
    answers = set()
    for gate in gates:
        windows = Windows(net, engine(name, net), gate)
        for first in (0, 5):
            part = frames[first : first + T]
            found = windows.decide(list(range(first, first + T)), part)
            assert found.kept.any()
            assert found.kept.all() == (gate.rule == "none")
            kept = None if gate.rule == "none" else torch.from_numpy(found.kept)[None]
            expected = answer(net, part, kept=kept, mode=gate.mode, weight=gate.weight)
            np.testing.assert_allclose(found.rates, expected.rates[0], atol=TOLERANCE)
            np.testing.assert_allclose(found.scores, expected.scores[0], atol=TOLERANCE)
            answers.add(found.rates.tobytes())
    assert len(answers) > 1 or ATTENTIONS[attention].spatial != "none"


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("kind", ["tiny_b", "gesture", "shd"])
def test_other_networks(name, kind) -> None:
    """Layers without pooling, and a first layer that is fully connected."""
    size = {"tiny_b": (64, 64), "gesture": (32, 32), "shd": (1, 700)}[kind]
    net = used(Network(kind=kind, attention=Attention(reduction=2)), 4, size)
    frames = stream(6, size, seed=1)
    windows = Windows(net, engine(name, net, 4, size))
    for first in (0, 2):
        found = windows.decide(list(range(first, first + 4)), frames[first : first + 4])
        np.testing.assert_allclose(found.rates, answer(net, frames[first : first + 4]).rates[0], atol=TOLERANCE)


@pytest.mark.parametrize("name", [name for name in ENGINES if name != "torch"])
@pytest.mark.parametrize("output", ["spike", "relu"])
def test_engines_equal_the_reference_layer_by_layer(name, output) -> None:
    """Fed the same outputs, currents agree to 1e-5, and spikes wherever they lie further than that from threshold."""
    neuron = Neuron(output=output)
    net, frames = used(Network(attention=PLAIN, neuron=neuron)), stream(T)
    reference, other = engine("torch", net), engine(name, net)
    pauses, ones = np.zeros(T, np.int32), np.ones(T, np.float32)
    currents = np.stack([reference.frame(frame) for frame in frames]) + reference.layers[0].constant
    others = np.stack([other.frame(frame) for frame in frames]) + other.layers[0].constant
    busy = 0
    for index, layer in enumerate(reference.layers):
        if index:
            currents, others = reference.currents(index), other.currents(index).copy()
        np.testing.assert_allclose(others, currents, rtol=TOLERANCE, atol=TOLERANCE)
        states = layer.rest(), layer.rest()
        reference.fire(index, currents, ones, pauses, states[0])
        other.fire(index, currents, ones, pauses, states[1])
        np.testing.assert_array_equal(states[0], states[1])
        np.testing.assert_array_equal(reference.outputs(), other.outputs())
        busy += np.count_nonzero(reference.outputs())
        other.take(index, reference.outputs())
    assert busy > 1000


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("attention", ["plain", "csa_step", "asa_step"])
def test_causal_from_rest_equals_the_first_window(name, attention) -> None:
    """Without attention over time, T steps one by one are the network on that window."""
    network = Network(attention=Attention(frames="none", currents="none", spatial=ATTENTIONS[attention].spatial))
    net, frames = used(network), stream(T)
    causal = Causal(net, engine(name, net), T)
    for frame in frames:
        causal.step(frame)
    found = causal.decide()
    np.testing.assert_allclose(found.rates, answer(net, frames).rates[0], atol=TOLERANCE)
    assert found.warm
    assert not found.held


def stepwise(net: TaSnn, frames: np.ndarray) -> np.ndarray:
    """Form C by torch, block after block and step after step; rates after each step [S, K]."""
    rho = 2 / (T + 1)
    rules = [net.attention, *(block.attention for block in net.layers())]
    memory = [
        None
        if rule is None
        else {"m": rule.mean.item(), "v": rule.variance.item()}
        if isinstance(rule, C2Scores)
        else [rule.mean.item()] * T
        if rule.standardised
        else []
        for rule in rules
    ]

    def score(place: int, s: float) -> torch.Tensor:
        rule, known = rules[place], memory[place]
        if rule is None:
            return torch.ones(())
        if isinstance(rule, C2Scores):
            d = torch.sigmoid(rule.gain * (s - known["m"]) / np.sqrt(known["v"] + 1e-6) + rule.offset)
            e = s - known["m"]
            known["m"] += rho * e
            known["v"] = (1 - rho) * (known["v"] + rho * e * e)
            return d
        known[:] = [*(known or [s] * T), s][-T:]
        return rule(torch.tensor([known]))[0, -1]

    states, outputs = [None] * len(net.blocks), []
    with torch.no_grad():
        for frame in torch.from_numpy(frames)[:, None]:
            d = score(0, frame.mean().item())
            weights, constant = net.blocks[0].folded()
            x = torch.nn.functional.conv2d(frame, weights, padding=1) * d + constant[:, None, None]
            for index, block in enumerate(net.layers()):
                if index:
                    x = block.norm(block.linear(x.flatten(1) if isinstance(block.linear, torch.nn.Linear) else x))
                current = block.pool(x)
                d = score(index + 1, current.mean().item())
                output, states[index] = block.fire(current[None], d.reshape(1, 1), states[index])
                x = output[0]
            outputs.append(x[0].numpy())
    return np.stack([np.mean(outputs[max(0, i + 1 - T) : i + 1], 0) for i in range(len(outputs))])


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize(("over_frames", "over_currents"), [("c2", "se"), ("se", "c2"), ("none", "c2")])
def test_causal_scores_and_states_against_a_plain_loop(name, over_frames, over_currents) -> None:
    """Every decision of a long stream, state never reset."""
    net = used(Network(attention=Attention(frames=over_frames, currents=over_currents)))
    frames = stream(36)
    causal = Causal(net, engine(name, net), T)
    for frame, expected in zip(frames, stepwise(net, frames), strict=True):
        causal.step(frame)
        np.testing.assert_allclose(causal.decide().rates, expected, atol=TOLERANCE)


def delayed(net: TaSnn, frames: np.ndarray, k: int) -> tuple[np.ndarray, int]:
    """Form C1 with look-ahead by torch, layer after layer over a whole stream: outputs [S - late, K], and late."""

    def scores(rule: SeScores | C2Scores | None, s: list[float]) -> torch.Tensor:
        if rule is None:
            return torch.ones(len(s))
        if isinstance(rule, C2Scores):
            m, v, rho, found = rule.mean.item(), rule.variance.item(), 2 / (T + 1), []
            for x in s:
                found.append(torch.sigmoid(rule.gain * (x - m) / np.sqrt(v + 1e-6) + rule.offset))
                e = x - m
                m, v = m + rho * e, (1 - rho) * (v + rho * e * e)
            return torch.stack(found)
        past = [rule.mean.item() if rule.standardised else s[0]] * T + s
        rings = [past[at + 1 : at + 1 + T] for at in range(len(s))]
        return torch.stack([rule(torch.tensor([rings[t + k]]))[0, T - 1 - k] for t in range(len(s) - k)])

    late = 0
    with torch.no_grad():
        x = torch.from_numpy(frames)
        d = scores(net.attention, x.mean((1, 2, 3)).tolist())
        x, late = x[: len(d)], late + len(x) - len(d)
        for index, block in enumerate(net.layers()):
            weights, constant = block.folded()
            if isinstance(block.linear, torch.nn.Linear):
                x = torch.nn.functional.linear(x.flatten(1), weights)
            else:
                x = torch.nn.functional.conv2d(x, weights, padding=1)
            x = x * d.reshape(-1, *(1,) * (x.dim() - 1)) if index == 0 else x
            x = block.pool(x + constant.reshape(-1, *(1,) * (x.dim() - 2)))
            own = scores(block.attention, x.flatten(1).mean(1).tolist())
            x, late = x[: len(own)], late + len(x) - len(own)
            x = block.fire(x[None], own[None])[0][0]
        return x.numpy(), late


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize(
    ("over_frames", "over_currents", "k", "late"), [("c2", "se", 1, 5), ("se", "c2", 3, 3), ("se", "se", 2, 12)]
)
def test_attention_that_looks_ahead_against_whole_sequences(name, over_frames, over_currents, k, late) -> None:
    """Each place with "se" waits for k later frames; a decision is that of so many frames before, and late."""
    net = used(Network(attention=Attention(frames=over_frames, currents=over_currents)))
    frames = stream(40)
    expected, found_late = delayed(net, frames, k)
    causal = Causal(net, engine(name, net), T, lookahead=k)
    assert causal.late == found_late == late
    for number, frame in enumerate(frames):
        causal.step(frame)
        found = causal.decide()
        assert found.warm == (number + 1 >= T + late)
        heard = expected[max(0, number + 1 - late - T) : max(0, number + 1 - late)]
        assert found.held == (not len(heard))
        np.testing.assert_allclose(found.rates, heard.mean(0) if len(heard) else 0, atol=TOLERANCE)


@pytest.mark.parametrize("mode", ["skip", "decay", "zero_frame"])
def test_look_ahead_where_nothing_looks_ahead_changes_nothing(mode) -> None:
    """To the bit: rules "c2" wait for nothing."""
    net, gate = used(Network(attention=Attention(frames="c2", currents="c2"))), Gate("min_events", 250.0, mode)
    plain, ahead = (Causal(net, engine("auto", net), T, gate, lookahead) for lookahead in (0, 3))
    for frame in stream():
        plain.step(frame)
        ahead.step(frame)
        assert plain.decide().rates.tobytes() == ahead.decide().rates.tobytes()


@pytest.mark.parametrize("mode", ["skip", "decay"])
def test_what_waits_comes_out_while_frames_are_dropped(mode) -> None:
    """As many frames run through as without look-ahead, each as late as told, and with the decay that it had."""
    net, frames, gate = used(), stream(), Gate("min_events", 250.0, mode)
    soon, late = (Causal(net, engine("auto", net), T, gate, lookahead) for lookahead in (0, 2))
    came = ([], [])
    for frame in (*frames, *np.zeros((late.late, *frames.shape[1:]), np.float32)):
        for causal, held in zip((soon, late), came, strict=True):
            causal.step(frame)
            held.append(causal.decide().held)
    assert not all(came[0][: len(frames)])
    assert any(came[0][: len(frames)])
    assert came[1][late.late :] == came[0][: len(frames)]
    assert all(came[1][: late.late])
    assert late.save()["counters"][1] == soon.save()["counters"][1] == T


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("mode", ["skip", "decay", "zero_frame"])
def test_tumbling_windows_that_carry_their_state_are_one_run(name, mode) -> None:
    """Without attention over time they answer as the causal form does after as many frames, whatever is dropped."""
    net, frames = used(Network(attention=PLAIN)), stream(3 * T)
    frames[-1] += 1  # silence after the last frame that enters is counted when the next one does
    gate = Gate("min_events", 250.0, mode)
    windows = Windows(net, engine(name, net), gate, carry=True)
    fresh = Windows(net, engine(name, net), gate)
    run = Causal(net, engine(name, net), 1, gate)
    differ = 0
    for first in range(0, 3 * T, T):
        part, outputs = frames[first : first + T], []
        for frame in part:
            before = run.save()["counters"][0]
            run.step(frame)
            decided = run.decide()
            outputs.append(np.zeros_like(decided.rates) if decided.held else decided.rates)
            assert run.save()["counters"][0] == before + 1
        found = windows.decide(list(range(first, first + T)), part)
        entered = found.kept.sum() if mode == "skip" else T
        np.testing.assert_allclose(found.rates, np.sum(outputs, 0) / entered, atol=TOLERANCE)
        differ += found.rates.tobytes() != fresh.decide(list(range(first, first + T)), part).rates.tobytes()
    assert differ
    windows.reset()
    found = windows.decide(list(range(T)), frames[:T])
    assert found.rates.tobytes() == fresh.decide(list(range(T)), frames[:T]).rates.tobytes()


@pytest.mark.parametrize("name", ENGINES)
def test_a_gate_that_drops_nothing_changes_nothing(name) -> None:
    """D with empty frames, threshold 0 and weight by score is the form itself, to the bit."""
    net, frames = used(), stream()
    for gate in (Gate("threshold", 0.0, "zero_frame", "score"), Gate("min_events", 0.0), Gate("quantile", 0.0)):
        free, gated = Windows(net, engine(name, net)), Windows(net, engine(name, net), gate)
        ran, checked = Causal(net, engine(name, net), T), Causal(net, engine(name, net), T, gate)
        for first in (0, 5):
            starts, part = list(range(first, first + T)), frames[first : first + T]
            assert free.decide(starts, part).rates.tobytes() == gated.decide(starts, part).rates.tobytes()
        for frame in frames:
            ran.step(frame)
            checked.step(frame)
            assert ran.decide().rates.tobytes() == checked.decide().rates.tobytes()


@pytest.mark.parametrize("name", ENGINES)
def test_skipped_frames_leave_no_trace(name) -> None:
    """A causal stream with its quiet frames skipped is the stream without them, to the bit; between, answers hold."""
    net, frames = used(Network(attention=PLAIN)), stream()
    kept = frames.sum((1, 2, 3)) >= 250
    assert 10 < kept.sum() < 30
    gated = Causal(net, engine(name, net), T, Gate("min_events", 250.0))
    short = Causal(net, engine(name, net), T)
    before = gated.decide()
    assert before.held
    for frame, enters in zip(frames, kept, strict=True):
        gated.step(frame)
        found = gated.decide()
        assert found.held == (not enters)
        if enters:
            short.step(frame)
            before = short.decide()
        assert found.rates.tobytes() == before.rates.tobytes()
    np.testing.assert_array_equal(found.kept, kept[-T:])


@pytest.mark.parametrize("name", ENGINES)
def test_dropped_frames_that_decay_count_as_silence(name) -> None:
    """The first window of a causal stream is that window with the same frames dropped."""
    net, frames = used(Network(attention=PLAIN)), stream(T)
    frames[-1] += 1  # silence after the last frame that enters is counted when the next one does
    gate = Gate("min_events", float(np.median(frames.sum((1, 2, 3)))), "decay")
    causal = Causal(net, engine(name, net), T, gate)
    for frame in frames:
        causal.step(frame)
    found = causal.decide()
    expected = Windows(net, engine(name, net), gate).decide(list(range(T)), frames)
    np.testing.assert_array_equal(found.kept, expected.kept)
    np.testing.assert_allclose(found.rates, expected.rates, atol=TOLERANCE)
    assert found.rates.max() > 1 / T
    for frame in (*np.zeros_like(frames), frames[-1]):
        causal.step(frame)
    # All but the last of the last T steps were silent.
    assert causal.decide().rates.max() <= 1 / T


@pytest.mark.parametrize("gate", [Gate(), Gate("quantile", 0.5, "decay"), Gate("min_events", 250.0, "skip")])
def test_a_restored_stream_goes_on_with_the_same_bits(gate) -> None:
    """State is a dict of arrays; it fits another instance and another engine, and nothing else."""
    net, frames = used(), stream()
    ran = Causal(net, engine("auto", net), T, gate)
    for frame in frames[:20]:
        ran.step(frame)
        ran.decide()
    state = ran.save()
    assert all(isinstance(array, np.ndarray) for array in state.values())
    again, other = (Causal(net, engine(name, net), T, gate) for name in ("auto", "torch"))
    again.restore(state)
    other.restore(state)
    for frame in frames[20:]:
        for causal in (ran, again, other):
            causal.step(frame)
        expected, found = ran.decide(), again.decide()
        assert [np.asarray(field).tobytes() for field in found] == [np.asarray(field).tobytes() for field in expected]
        np.testing.assert_allclose(other.decide().rates, expected.rates, atol=TOLERANCE)
    with pytest.raises(ValueError, match="another network"):
        Causal(used(Network(attention=PLAIN)), engine("auto", net), T).restore(state)


def test_a_cached_frame_gives_the_bits_of_a_fresh_one() -> None:
    """Also where the same times come again with other events; a frame seen before is not convolved again."""
    net, frames, others = used(), stream(), stream(seed=1)
    windows = Windows(net, convolving := engine("auto", net))
    convolved = []
    compute = convolving.frame
    convolving.frame = lambda counts: (convolved.append(1), compute(counts))[1]
    for source, first, fresh in ((frames, 0, 16), (frames, 2, 2), (frames, 5, 3), (others, 6, 16)):
        starts, part = list(range(first, first + T)), source[first : first + T]
        convolved.clear()
        found = windows.decide(starts, part)
        assert len(convolved) == fresh
        assert found.rates.tobytes() == Windows(net, engine("auto", net)).decide(starts, part).rates.tobytes()


def se_of_the_sheet() -> SeScores:
    rule = SeScores(4, 2)
    with torch.no_grad():
        rule.squeeze.weight.copy_(torch.tensor([[0.5, -0.25, 0.75, 0.1], [-0.4, 0.6, 0.2, 0.3]]))
        rule.squeeze.bias.copy_(torch.tensor([0.1, -0.2]))
        rule.excite.weight.copy_(torch.tensor([[1, -0.5], [0.3, 0.8], [-0.7, 1.2], [0.4, 0.4]]))
        rule.excite.bias.copy_(torch.tensor([0, 0.1, -0.1, 0.2]))
    return rule


SHEET = np.array([0.2, 1.0, 0.6, 0.05, 0.8, 0.1], np.float32)


def test_scores_of_the_sheet() -> None:
    """Sheet 11.3: windows, the ring (from the fourth step on, when it is full), and running statistics."""
    window = WindowScores(se_of_the_sheet())
    for first, expected in enumerate(
        ([0.544259, 0.642332, 0.540536, 0.632742], [0.637031, 0.569117, 0.381013, 0.606112])
    ):
        part = SHEET[first : first + 4]
        np.testing.assert_allclose(window(part, part, np.ones(4, bool)), expected, atol=2e-6)
    ring = CausalScores(se_of_the_sheet(), 4)
    state = ring.rest()
    state["means"][:] = 0
    found = [ring.step(s, s, state) for s in SHEET]
    np.testing.assert_allclose(found, [0.561684, 0.597726, 0.660158, 0.632742, 0.606112, 0.645427], atol=2e-6)
    ahead = CausalScores(se_of_the_sheet(), 4, 1)
    state = ahead.rest()
    state["means"][:] = 0
    found = [ahead.step(s, s, state) for s in SHEET]
    np.testing.assert_allclose(found, [0.454129, 0.455865, 0.415324, 0.540536, 0.381013, 0.310400], atol=2e-6)
    rule = C2Scores()
    with torch.no_grad():
        rule.gain.fill_(2)
        rule.mean.fill_(0.5)
        rule.variance.fill_(0.09)
    running = CausalScores(rule, 15)
    state = running.rest()
    found = [running.step(s, s, state) for s in SHEET]
    np.testing.assert_allclose(found, [0.119204, 0.973703, 0.604848, 0.040982, 0.874815, 0.072734], atol=2e-6)
    np.testing.assert_allclose([state["mean"][0], state["variance"][0]], [0.465522, 0.113352], atol=2e-6)


def test_slots_of_dropped_steps_hold_the_mean_of_the_others() -> None:
    """Scores belong to slots, so that every slot needs a number."""
    kept = np.array([True, False, True, True])
    window = WindowScores(se_of_the_sheet())
    filled = np.array([0.2, 0.5, 0.6, 0.7], np.float32)
    expected = window(filled, filled, np.ones(4, bool))[kept]
    np.testing.assert_allclose(window(filled[kept], filled[kept], kept), expected, atol=1e-6)


def test_the_causal_quantile_drops_about_that_share() -> None:
    """Of the last 8 windows' scores, the new one included; the first frame ever enters."""
    gate, past = Gate("quantile", 0.25), remembered(T)
    scores = np.random.default_rng(0).random(1000).astype(np.float32)
    kept = []
    for number, score in enumerate(scores):
        past[:-1], past[-1] = past[1:].copy(), score
        kept.append(gate.causal(score, np.float32(0), past))
        known = np.sort(scores[max(0, number + 1 - 128) : number + 1])
        assert kept[-1] == (score >= known[int(0.25 * len(known))])
    assert kept[0]
    assert abs(np.mean(kept) - 0.75) < 0.02


def test_a_window_always_keeps_its_best_frame() -> None:
    """By score, or by events."""
    scores, events = np.array([0.1, 0.3, 0.2], np.float32), np.array([5, 1, 2], np.float32)
    assert Gate("threshold", 0.9).window(scores, events).tolist() == [False, True, False]
    assert Gate("min_events", 9).window(scores, events).tolist() == [True, False, False]


def test_a_missing_engine_is_named_with_its_package(monkeypatch) -> None:
    lacking = {"onnxruntime": ("onnxruntime", "no_such_package"), "openvino": ("no_such_package",)}
    monkeypatch.setattr(engines, "PACKAGES", lacking)
    monkeypatch.setenv("CXX", "no_such_compiler")
    assert engines.installed() == ["event_driven", "torch"]
    for name in lacking:
        with pytest.raises(UsageError, match=r"not installed: pip install .*no_such_package.*event_driven, torch"):
            engine(name, used())
    with pytest.raises(UsageError, match=r"no 'no_such_compiler'.*apt install g\+\+.*one of event_driven, torch"):
        engine("compile", used())


def test_gates_and_forms_cover_all_modes() -> None:
    """Every mode and weight runs in both forms and keeps rates in range."""
    net, frames = used(), stream(T)
    for mode, weight in itertools.product(("skip", "decay", "zero_frame"), ("score", "one")):
        gate = Gate("quantile", 0.5, mode, weight)
        causal = Causal(net, engine("auto", net), T, gate)
        for frame in frames:
            causal.step(frame)
        for found in (causal.decide(), Windows(net, engine("auto", net), gate).decide(list(range(T)), frames)):
            assert ((found.rates >= 0) & (found.rates <= 1)).all()
            assert 0 < found.kept.sum() < T

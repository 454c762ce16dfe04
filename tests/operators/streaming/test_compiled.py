"""The engine that torch compiles: equal to the reference, all compiled when it is made, clear where it cannot be."""

import shutil

import numpy as np
import psutil
import pytest
import torch

from evpipe.errors import UsageError
from operators.engines import choice
from operators.engines.seam import Engine
from operators.nets.stored import build
from operators.nets.ta_snn import TaSnn
from operators.network import Attention, Network, Neuron
from operators.streaming.causal import Causal
from operators.streaming.gate import Gate
from operators.streaming.window import Windows

torch.set_num_threads(1)

T = 6
TOLERANCE = 1e-5
pytestmark = pytest.mark.skipif("compile" not in choice.installed(), reason="no C++ compiler here")


def stream(frames: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rates = rng.random((frames, 1, 32, 32)) ** 4 * rng.random((frames, 1, 1, 1)) * 1.5
    return rng.poisson(np.broadcast_to(rates, (frames, 2, 32, 32))).astype(np.float32)


def used(output: str) -> TaSnn:
    """A network with attention whose batch norms have seen data."""
    torch.manual_seed(3)
    neuron = Neuron() if output == "spike" else Neuron(output="relu", reset="soft", decay=0.5)
    net = build(Network(neuron=neuron, attention=Attention(reduction=2)), 3, T).train()
    for block in net.layers():
        block.norm.momentum = 0.5
    with torch.no_grad():
        for _ in range(4):
            net(torch.from_numpy(stream(3 * T)).unflatten(0, (3, T)))
    return net.eval()


@pytest.fixture(scope="module", params=["spike", "relu"])
def made(request) -> tuple[TaSnn, Engine]:
    net = used(request.param)
    return net, choice.make("compile", net, (32, 32), T, 1)


def test_single_steps_equal_the_reference_layer_by_layer(made) -> None:
    """Fed the same currents: outputs and states to the bit, the next currents to 1e-5; nothing compiled late."""
    net, compiled = made
    reference = choice.make("torch", net, (32, 32), T, 1)
    states = [[layer.rest() for layer in reference.layers] for _ in range(2)]
    busy = 0
    with torch.compiler.set_stance("fail_on_recompile"):
        for number, frame in enumerate(stream(12, seed=1)):
            pauses, scores = np.array([number % 3], np.int32), np.array([1 - 0.03 * number], np.float32)
            currents = reference.frame(frame) + reference.layers[0].constant
            np.testing.assert_allclose(compiled.frame(frame) + compiled.layers[0].constant, currents, atol=TOLERANCE)
            currents = currents[None]
            for index in range(len(reference.layers)):
                if index:
                    currents = reference.currents(index)
                    np.testing.assert_allclose(compiled.currents(index), currents, rtol=TOLERANCE, atol=TOLERANCE)
                reference.fire(index, currents, scores, pauses, states[0][index])
                compiled.fire(index, currents, scores, pauses, states[1][index])
                np.testing.assert_array_equal(compiled.outputs(), reference.outputs())
                np.testing.assert_array_equal(states[1][index], states[0][index])
                busy += np.count_nonzero(reference.outputs())
    assert busy > 1000
    assert not [child for child in psutil.Process().children() if "torch" in " ".join(child.cmdline())]


def test_forms_equal_those_of_the_reference(made) -> None:
    """Windows with gates, and causal steps, whose pauses and dropped frames go through all layers."""
    net, compiled = made
    frames = stream(4 * T, seed=2)
    reference = choice.make("torch", net, (32, 32), T, 1)
    with torch.compiler.set_stance("fail_on_recompile"):
        for gate in (Gate(), Gate("min_events", 250.0, "decay")):
            windows = [Windows(net, engine, gate) for engine in (reference, compiled)]
            for first in (0, 2):
                starts, part = list(range(first, first + T)), frames[first : first + T]
                expected, found = (form.decide(starts, part).rates for form in windows)
                np.testing.assert_allclose(found, expected, atol=TOLERANCE)
            steps = [Causal(net, engine, T, gate, 1) for engine in (reference, compiled)]
            answers = []
            for frame in frames:
                for form in steps:
                    form.step(frame)
                expected, found = (form.decide().rates for form in steps)
                np.testing.assert_allclose(found, expected, atol=TOLERANCE)
                answers.append(expected)
            assert np.ptp(answers) > 0


def test_a_compiler_that_does_not_work_is_told_with_what_to_install(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("CXX", str(shutil.which("false")))
    with (
        torch._inductor.config.patch({"cpp.cxx": (None, str(shutil.which("false"))), "fx_graph_cache": False}),
        pytest.raises(UsageError, match=r"could not compile the network here.*apt install g\+\+ python3-dev"),
    ):
        choice.make("compile", used("spike"), (32, 32), T, 1)

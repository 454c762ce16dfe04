"""Attention over channels and pixels against the numbers of the sheet, and what the two forms promise."""

import pytest
import torch
from torch import nn

from operators.nets.lif import LIF
from operators.nets.spatial_attention import ChannelScores, MembraneChannelsPixels, WindowChannelsPixels
from operators.nets.steps import Steps
from operators.nets.ta_snn import Block
from operators.nets.temporal_attention import SeScores, step_maxima, step_means, weigh
from operators.network import Neuron

F64 = torch.float64


def sheet_currents() -> torch.Tensor:
    """[1, 2, 2, 2, 2]: x[t, c, h, w] = ((3 * (5t + 3c + 2h + w)) mod 7) / 5 - 0.4."""
    t, c, h, w = torch.meshgrid(*(torch.arange(2),) * 4, indexing="ij")
    return (((3 * (5 * t + 3 * c + 2 * h + w)) % 7).to(F64) / 5 - 0.4)[None]


def sheet_weights(module: WindowChannelsPixels | MembraneChannelsPixels) -> None:
    module.double()
    with torch.no_grad():
        module.channels.squeeze.weight.copy_(torch.tensor([[0.4, 0.7]]))
        module.channels.excite.weight.copy_(torch.tensor([[-0.5], [0.9]]))
        module.pixels.conv.weight.zero_()
        module.pixels.conv.weight[0, 0, 1, 1] = 1
        module.pixels.conv.weight[0, 1] = 0.1


def test_window_form_of_the_sheet() -> None:
    x = sheet_currents()
    assert x[0, 0].flatten().tolist() == pytest.approx([-0.4, 0.2, 0.8, 0, 0, 0.6, -0.2, 0.4])
    over_time = SeScores(2, 2, bias=False, maxima=True).double()
    with torch.no_grad():
        over_time.squeeze.weight.copy_(torch.tensor([[0.5, -0.3]]))
        over_time.excite.weight.copy_(torch.tensor([[0.8], [-0.6]]))
    scores = over_time(step_means(x), step_maxima(x))
    assert scores[0].tolist() == pytest.approx([0.537430, 0.471905], abs=1e-6)
    module = WindowChannelsPixels(2, 2, 3)
    sheet_weights(module)
    with torch.no_grad():
        refined = module(weigh(x, scores), Steps(1, 2))
    expected = [
        [-0.047406, 0.025541, 0.096102, 0, 0, 0.110697, -0.034709, 0.072034],
        [-0.020813, 0.044855, -0.042192, 0.021891, 0.030068, 0.129601, 0, 0.094877],
    ]
    for step in range(2):
        assert refined[0, step].flatten().tolist() == pytest.approx(expected[step], abs=1e-6)
    # The block takes negative currents off behind it.
    neurons = Neuron(output="relu", decay=0.5)
    block = Block(nn.Conv2d(2, 2, 3), LIF(neurons), spatial=module, rectified=True)
    with torch.no_grad():
        outputs, state = block.fire(x, scores)
        wanted, last = LIF(neurons).run(torch.relu(refined), None)
    torch.testing.assert_close(outputs, wanted)
    torch.testing.assert_close(state, last)


def test_membrane_form_of_the_sheet() -> None:
    """Potentials, spikes and what is kept: the refined membrane."""
    module = MembraneChannelsPixels(2, 2, 3)
    sheet_weights(module)
    block = Block(nn.Conv2d(2, 2, 3), LIF(), spatial=module)
    potentials = [
        [-0.077839, 0.045108, 0.168008, 0, 0, 0.246194, -0.076413, 0.156706],
        [-0.044312, 0.095403, -0.066016, 0.044014, 0.078113, 0.396879, -0.008522, 0.280308],
    ]
    states = [
        [-0.023352, 0.013532, 0.050402, 0, 0, 0.073858, -0.022924, 0.047012],
        [-0.013294, 0.028621, -0.019805, 0.013204, 0.023434, 0, -0.002557, 0.084092],
    ]
    spikes = [[0] * 8, [0, 0, 0, 0, 0, 1, 0, 0]]
    state = torch.zeros(1, 2, 2, 2, dtype=F64)
    with torch.no_grad():
        for step in range(2):
            current = sheet_currents()[:, step : step + 1]
            assert module(state + current[:, 0]).flatten().tolist() == pytest.approx(potentials[step], abs=1e-6)
            outputs, state = block.fire(current, state=state)
            assert outputs.flatten().tolist() == spikes[step]
            assert state.flatten().tolist() == pytest.approx(states[step], abs=1e-6)
        whole, last = block.fire(sheet_currents())
    assert whole.flatten().tolist() == [spike for row in spikes for spike in row]
    assert torch.equal(last, state)


def test_dropped_steps_leave_no_trace_in_the_window_form() -> None:
    """A window of which steps were dropped is refined as one that never had them."""
    generator = torch.Generator().manual_seed(2)
    module = WindowChannelsPixels(4, 2, 3).double()
    x = torch.randn(2, 6, 4, 5, 5, dtype=F64, generator=generator) - 3  # maxima below 0 too
    kept = torch.tensor([[1, 0, 1, 1, 0, 1], [0, 0, 1, 0, 0, 1]], dtype=torch.bool)
    steps = Steps(2, 6, kept)
    refined = module(steps.front(steps.pack(x)), steps)
    for sample in range(2):
        alone = module(x[sample : sample + 1, kept[sample]], Steps(1, int(kept[sample].sum())))
        torch.testing.assert_close(refined[sample, : int(kept[sample].sum())], alone[0])


@pytest.mark.parametrize("reduction", [0, 9])
def test_reduction_that_leaves_no_hidden_unit_is_refused(reduction: int) -> None:
    with pytest.raises(ValueError, match=f"channel_reduction is {reduction}.*here 8"):
        ChannelScores(8, reduction)

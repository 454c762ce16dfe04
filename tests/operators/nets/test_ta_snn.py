"""The networks: parameter counts, folding, and sliding windows equal to whole clips."""

import pytest
import torch

from operators.nets.sliding import SlidingTaSnn
from operators.nets.ta_snn import SHIPPED, TaSnn, tiny_a, tiny_b

torch.set_num_threads(1)

COUNTS = {
    tiny_a: [90_129, 90_869, 90_277, 91_017, 90_871, 90_141],
    tiny_b: [334_441, 335_329, 334_589, 335_477, 335_331, 334_455],
}
PLACES = [{}, {"currents": "se"}, {"in": "se"}, {"in": "se", "currents": "se"}, SHIPPED, {"in": "c2", "currents": "c2"}]


@pytest.mark.parametrize("network", [tiny_a, tiny_b])
def test_parameter_counts(network) -> None:
    counts = [sum(p.numel() for p in network(11, 16, places).parameters()) for places in PLACES]
    assert counts == COUNTS[network]
    more = sum(p.numel() for p in network(12, 16).parameters()) - COUNTS[network][4]
    assert more == {tiny_a: 67, tiny_b: 131}[network]


def test_unknown_place_of_attention_is_refused() -> None:
    with pytest.raises(ValueError, match="input"):
        tiny_a(3, 16, {"input": "se"})


def used(net: TaSnn, frames: torch.Tensor, seed: int = 0) -> TaSnn:
    """The network with random weights everywhere and batch norms that have seen data."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(torch.randn(p.shape, generator=generator) * 0.05)
    net.double() if frames.dtype == torch.float64 else None
    net.set_frame_statistics(frames.mean().item(), frames.mean((2, 3, 4)).var().item())
    net.train()
    with torch.no_grad():
        for _ in range(30):
            net(frames)
    return net.eval()


def clips(batch: int, frames: int, dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    rates = torch.rand(batch, frames, 1, 8, 8, generator=generator).repeat_interleave(4, 3).repeat_interleave(4, 4)
    return torch.poisson((rates * 0.5).expand(-1, -1, 2, -1, -1), generator=generator).to(dtype)


@pytest.mark.parametrize("places", PLACES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_sliding_windows_equal_whole_clips(places, dtype) -> None:
    """Every hop of a long stream, currents cached, answers as the clip does alone.

    In float32 a potential within rounding of the threshold may go either way: one such spike is let pass.
    """
    stream = clips(4, 22, dtype)
    net = used(tiny_a(5, 16, places), stream[:, :16])
    with torch.no_grad():
        sliding = SlidingTaSnn(net)
        cached = [sliding.currents(frame) for frame in stream[0]]
        answers, different = set(), 0
        for first in range(0, 7, 2):
            currents, means = (torch.stack(column) for column in zip(*cached[first : first + 16], strict=True))
            rates, scores = sliding.decide(currents, means)
            whole_rates, whole_scores = net.answer(stream[:1, first : first + 16])
            different += int(((rates - whole_rates[0]).abs() > 1e-6).sum())
            torch.testing.assert_close(scores, whole_scores[0], atol=1e-6, rtol=0)
            answers.add(tuple(rates.tolist()))
    assert len(answers) > 1
    assert different <= (dtype == torch.float32)


def test_folding_of_the_sheet() -> None:
    """A score scales the frame and not the constant of the batch norm."""
    net = tiny_a(3)
    block = net.blocks[0].double()
    with torch.no_grad():
        for value, tensor in ((0.5, block.linear.weight), (0.1, block.linear.bias)):
            tensor.fill_(value)
        for value, name in ((0.2, "running_mean"), (0.25, "running_var"), (1.2, "weight"), (-0.1, "bias")):
            getattr(block.norm, name).fill_(value)
        weights, constant = block.folded()
    assert (weights[0, 0, 0, 0] / 0.5).item() == pytest.approx(2.399952, abs=1e-6)
    assert constant[0].item() == pytest.approx(-0.339995, abs=1e-6)
    assert (0.6 * weights[0, 0, 0, 0] * 3 + constant[0]).item() == pytest.approx(1.819962, abs=1e-6)


def test_rates_lie_between_zero_and_one() -> None:
    net = tiny_b(4).eval()
    with torch.no_grad():
        rates, scores = net.answer(torch.poisson(torch.full((2, 16, 2, 64, 64), 0.2)))
    assert rates.shape == (2, 4)
    assert scores.shape == (2, 16)
    assert ((rates >= 0) & (rates <= 1)).all()

"""Attention over time against the numbers of the sheet."""

import pytest
import torch

from operators.nets.lif import LIF
from operators.nets.temporal_attention import (
    C2Scores,
    SeScores,
    current_scores_of,
    frame_scores_of,
    step_maxima,
    step_means,
    weigh,
)
from operators.network import Attention

W1 = [[0.5, -0.25, 0.75, 0.1], [-0.4, 0.6, 0.2, 0.3]]
W2 = [[1, -0.5], [0.3, 0.8], [-0.7, 1.2], [0.4, 0.4]]
S = [0.2, 1.0, 0.6, 0.05, 0.8, 0.1]


def sheet_scores(**options: bool) -> SeScores:
    scores = SeScores(4, 2, **options).double()
    with torch.no_grad():
        scores.squeeze.weight.copy_(torch.tensor(W1))
        scores.excite.weight.copy_(torch.tensor(W2))
        if options.get("bias", True):
            scores.squeeze.bias.copy_(torch.tensor([0.1, -0.2]))
            scores.excite.bias.copy_(torch.tensor([0, 0.1, -0.1, 0.2]))
    return scores


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (0, [0.544259, 0.642332, 0.540536, 0.632742]),
        (1, [0.637031, 0.569117, 0.381013, 0.606112]),
        (2, [0.730567, 0.598507, 0.310400, 0.645427]),
    ],
)
def test_scores_of_sliding_windows(first: int, expected: list[float]) -> None:
    means = torch.tensor([S[first : first + 4]], dtype=torch.float64)
    assert sheet_scores()(means)[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_without_biases_and_with_maxima() -> None:
    means = torch.tensor([S[:4]], dtype=torch.float64)
    found = sheet_scores(bias=False)(means)[0].tolist()
    assert found == pytest.approx([0.494375, 0.649194, 0.639340, 0.594837], abs=1e-6)
    maxima = torch.tensor([[2, 5, 4, 1]], dtype=torch.float64)
    found = sheet_scores(bias=False, maxima=True)(means, maxima)[0].tolist()
    assert found == pytest.approx([0.764498, 0.983865, 0.926729, 0.945008], abs=1e-6)


def test_attention_changes_which_neurons_fire() -> None:
    c = torch.tensor([[0.5, 0.9, 0.2, 0.6]], dtype=torch.float64)[..., None]
    d = sheet_scores()(step_means(c))
    assert d[0].tolist() == pytest.approx([0.538673, 0.619753, 0.524356, 0.617275], abs=1e-6)
    assert weigh(c, d).flatten().tolist() == pytest.approx([0.269336, 0.557778, 0.104871, 0.370365], abs=1e-6)
    assert LIF()(c, d).flatten().tolist() == [0, 1, 0, 1]
    assert LIF()(c).flatten().tolist() == [1, 1, 0, 1]


def test_two_number_rule() -> None:
    """The first score of the sheet's running form, whose statistics are still the stored ones."""
    c2 = C2Scores().double()
    with torch.no_grad():
        c2.gain.fill_(2)
    c2.mean.fill_(0.5)
    c2.variance.fill_(0.09)
    assert c2(torch.tensor([[0.2, 0.5]], dtype=torch.float64))[0].tolist() == pytest.approx([0.119204, 0.5], abs=1e-6)


def test_two_numbers_at_currents_follow_the_batches_in_training_alone() -> None:
    following, fixed = C2Scores(following=True), C2Scores()
    means = 3 + 2 * torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
    for _ in range(100):
        following(means), fixed(means)
    assert following.mean.item() == pytest.approx(means.mean().item(), rel=1e-3)
    assert following.variance.item() == pytest.approx(means.var(correction=0).item(), rel=1e-3)
    assert (fixed.mean.item(), fixed.variance.item()) == (0, 1)
    before = following.eval().mean.clone()
    following(means + 5)
    assert following.mean == before


def test_scores_of_raw_frames_are_standardised() -> None:
    """Small mean counts, brought to unit variance, give scores as spread as large ones."""
    module = frame_scores_of(Attention(frames="se", squeeze="avgmax", bias=False), 16)
    assert isinstance(module, SeScores)
    assert not module.maxima
    module.mean.fill_(0.04)
    module.variance.fill_(0.01**2)
    means = 0.04 + 0.01 * torch.randn(4, 16, generator=torch.Generator().manual_seed(0))
    plain = SeScores(16, 4, bias=False)
    plain.load_state_dict({k: v for k, v in module.state_dict().items() if k.endswith("weight")})
    torch.testing.assert_close(module(means), plain((means - 0.04) / 0.01), atol=1e-2, rtol=0)


def test_modules_of_the_rules() -> None:
    assert frame_scores_of(Attention(frames="none"), 16) is None
    assert current_scores_of(Attention(currents="none"), 16) is None
    assert isinstance(frame_scores_of(Attention(frames="c2"), 16), C2Scores)
    currents = current_scores_of(Attention(currents="se", squeeze="avgmax", bias=False, reduction=5), 60)
    assert isinstance(currents, SeScores)
    assert currents.maxima
    assert sum(p.numel() for p in currents.parameters()) == 1_440


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_squeeze_is_over_all_but_batch_and_time(memory_format: torch.memory_format) -> None:
    packed = torch.rand(6, 4, 5, 6).to(memory_format=memory_format)
    sequence = packed.view(2, 3, 4, 5, 6)
    torch.testing.assert_close(step_means(sequence), sequence.mean((2, 3, 4)))
    assert torch.equal(step_maxima(sequence), sequence.amax((2, 3, 4)))
    d = torch.rand(2, 3)
    torch.testing.assert_close(weigh(sequence, d), sequence * d[:, :, None, None, None])
    assert weigh(sequence, None) is sequence
    assert step_means(sequence.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("reduction", [0, 17])
def test_reduction_that_leaves_no_hidden_unit_is_refused(reduction: int) -> None:
    with pytest.raises(ValueError, match=f"reduction is {reduction}.*number of frames, 16"):
        SeScores(16, reduction)

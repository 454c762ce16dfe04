"""Attention over time against the numbers of the sheet."""

import pytest
import torch

from operators.nets.lif import LIF
from operators.nets.temporal_attention import C2Scores, SeScores, step_means, weigh

W1 = [[0.5, -0.25, 0.75, 0.1], [-0.4, 0.6, 0.2, 0.3]]
W2 = [[1, -0.5], [0.3, 0.8], [-0.7, 1.2], [0.4, 0.4]]
S = [0.2, 1.0, 0.6, 0.05, 0.8, 0.1]


def sheet_scores() -> SeScores:
    scores = SeScores(4, 2).double()
    with torch.no_grad():
        scores.squeeze.weight.copy_(torch.tensor(W1))
        scores.squeeze.bias.copy_(torch.tensor([0.1, -0.2]))
        scores.excite.weight.copy_(torch.tensor(W2))
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


def test_attention_changes_which_neurons_fire() -> None:
    c = torch.tensor([[0.5, 0.9, 0.2, 0.6]], dtype=torch.float64)[..., None]
    d = sheet_scores()(step_means(c))
    assert d[0].tolist() == pytest.approx([0.538673, 0.619753, 0.524356, 0.617275], abs=1e-6)
    assert weigh(c, d).flatten().tolist() == pytest.approx([0.269336, 0.557778, 0.104871, 0.370365], abs=1e-6)
    assert LIF()(weigh(c, d)).flatten().tolist() == [0, 1, 0, 1]
    assert LIF()(c).flatten().tolist() == [1, 1, 0, 1]


def test_two_number_rule() -> None:
    """The first score of the sheet's running form, whose statistics are still the stored ones."""
    c2 = C2Scores().double()
    with torch.no_grad():
        c2.gain.fill_(2)
    c2.mean.fill_(0.5)
    c2.variance.fill_(0.09)
    assert c2(torch.tensor([[0.2, 0.5]], dtype=torch.float64))[0].tolist() == pytest.approx([0.119204, 0.5], abs=1e-6)


def test_squeeze_is_over_all_but_batch_and_time() -> None:
    sequence = torch.rand(2, 3, 4, 5, 6)
    torch.testing.assert_close(step_means(sequence), sequence.mean((2, 3, 4)))
    d = torch.rand(2, 3)
    torch.testing.assert_close(weigh(sequence, d), sequence * d[:, :, None, None, None])


@pytest.mark.parametrize("reduction", [0, 17])
def test_reduction_that_leaves_no_hidden_unit_is_refused(reduction: int) -> None:
    with pytest.raises(ValueError, match="reduction"):
        SeScores(16, reduction)

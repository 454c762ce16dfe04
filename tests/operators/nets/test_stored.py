"""Networks from their description: the parameter counts of the sheets, and the shipped weights."""

import msgspec
import pytest
import torch

from operators.model_card import read_card, resolve
from operators.nets.layer_tables import input_size
from operators.nets.stored import arrays_of, build, load
from operators.nets.ta_snn import TaSnn
from operators.network import Attention, Kind, Network, Neuron, Rule

CLASSES: dict[Kind, int] = {"tiny_a": 11, "tiny_b": 11, "gesture": 11, "cifar10_dvs": 10, "shd": 20}


def count(network: TaSnn) -> int:
    return sum(p.numel() for p in network.parameters())


def of(kind: Kind, steps: int, **attention: object) -> TaSnn:
    plain = Attention(frames="none", currents="none")
    network = Network(kind=kind, attention=msgspec.structs.replace(plain, **attention))
    with torch.device("meta"):  # counting needs no weights
        return build(network, CLASSES[kind], steps)


# Frames, reduction, then parameters with attention nowhere, on all currents, on raw frames, and on both.
OVER_TIME: list[tuple[Kind, int, int, list[int]]] = [
    ("gesture", 30, 16, [2_324_065, 2_324_520, 2_324_156, 2_324_611]),
    ("gesture", 60, 16, [2_324_065, 2_326_180, 2_324_488, 2_326_603]),
    ("cifar10_dvs", 10, 5, [2_097_918, 2_098_282, 2_097_970, 2_098_334]),
    ("cifar10_dvs", 20, 5, [2_097_918, 2_099_206, 2_098_102, 2_099_390]),
    ("shd", 10, 5, [109_372, 109_528, 109_424, 109_580]),
    ("shd", 15, 5, [109_372, 109_696, 109_480, 109_804]),
    ("tiny_a", 16, 4, [90_129, 90_869, 90_277, 91_017]),
    ("tiny_b", 16, 4, [334_441, 335_329, 334_589, 335_477]),
]


@pytest.mark.parametrize(("kind", "frames", "reduction", "expected"), OVER_TIME)
def test_counts_with_attention_over_time(kind: Kind, frames: int, reduction: int, expected: list[int]) -> None:
    places: list[tuple[Rule, Rule]] = [("none", "none"), ("none", "se"), ("se", "none"), ("se", "se")]
    found = [count(of(kind, frames, frames=place[0], currents=place[1], reduction=reduction)) for place in places]
    assert found == expected


@pytest.mark.parametrize(("kind", "mixed", "all_c2"), [("tiny_a", 90_871, 90_141), ("tiny_b", 335_331, 334_455)])
def test_counts_with_the_two_number_rule(kind: Kind, mixed: int, all_c2: int) -> None:
    assert count(of(kind, 16, frames="c2", currents="se")) == mixed
    assert count(of(kind, 16, frames="c2", currents="c2")) == all_c2


def test_a_further_class() -> None:
    for kind, more in (("tiny_a", 67), ("tiny_b", 131)):
        assert count(build(Network(kind=kind), 12, 16)) - count(build(Network(kind=kind), 11, 16)) == more


# Reductions over time and over channels, then TA, CA, SA, TCA, TSA, CSA, TCSA.
OVER_ALL = [
    (5, 8, [2_331_265, 2_333_281, 2_324_119, 2_340_481, 2_331_319, 2_333_335, 2_340_535]),
    (16, 16, [2_325_865, 2_328_673, 2_324_119, 2_330_473, 2_325_919, 2_328_727, 2_330_527]),
]


@pytest.mark.parametrize(("over_time", "over_channels", "expected"), OVER_ALL)
def test_counts_with_attention_over_time_channels_and_pixels(
    over_time: int, over_channels: int, expected: list[int]
) -> None:
    """The sets that recipes name are built; the others follow from their parts."""
    options = {"reduction": over_time, "channel_reduction": over_channels, "squeeze": "avgmax", "bias": False}
    none = count(of("gesture", 60))
    ta = count(of("gesture", 60, currents="se", **options))
    csa_net = of("gesture", 60, spatial="tcsa_window", **options)
    tcsa = count(of("gesture", 60, currents="se", spatial="tcsa_window", **options))
    spatials = [block.spatial for block in csa_net.layers() if block.spatial is not None]
    ca = none + sum(p.numel() for spatial in spatials for p in spatial.channels.parameters())
    sa = none + sum(p.numel() for spatial in spatials for p in spatial.pixels.parameters())
    assert [ta, ca, sa, ta + ca - none, ta + sa - none, count(csa_net), tcsa] == expected
    assert count(of("gesture", 60, spatial="csa_step", **options)) == count(csa_net)


def test_counts_of_other_networks_with_attention_over_space() -> None:
    options = {"reduction": 2, "channel_reduction": 8, "squeeze": "avgmax", "bias": False}
    assert count(of("cifar10_dvs", 20, currents="se", spatial="tcsa_window", **options)) == 2_188_104
    assert count(of("tiny_a", 16, spatial="csa_step")) == 91_527
    assert count(of("tiny_b", 16, spatial="csa_step")) == 339_841
    assert count(of("tiny_a", 16, spatial="asa", reduction=4)) == 90_627
    assert count(of("tiny_a", 16, spatial="asa_step")) == 90_243
    assert count(of("tiny_b", 16, spatial="asa", reduction=4)) == 335_105
    assert count(of("tiny_b", 16, spatial="asa_step")) == 334_593
    assert count(of("gesture", 60, spatial="asa", reduction=4)) == 2_324_065 + 3 * 1_838
    assert count(of("gesture", 60, spatial="asa", reduction=1)) == 2_324_065 + 3 * (60 * 60 + 38)


def test_rectification_comes_with_the_released_form_alone() -> None:
    """On convolutions always, on dense layers where time is attended to."""
    kinds = [("tcsa_window", "se", [True] * 5), ("tcsa_window", "none", [True] * 3 + [False] * 2)]
    for spatial, currents, expected in [*kinds, ("csa_step", "se", [False] * 5), ("none", "se", [False] * 5)]:
        assert [block.rectified for block in of("tiny_a", 16, spatial=spatial, currents=currents).layers()] == expected


@pytest.mark.parametrize("kind", CLASSES)
def test_networks_take_their_input_and_answer_with_rates(kind: Kind) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = build(Network(kind=kind), CLASSES[kind], 4).eval()
    with torch.no_grad():
        answer = net.answer(torch.poisson(torch.full((1, 4, 2, *input_size(kind)), 0.2)), record=True)
    assert answer.rates.shape == (1, CLASSES[kind])
    assert answer.scores.shape == (1, 4)
    assert answer.firing.shape == (1, len(net.layers()))
    assert ((answer.rates >= 0) & (answer.rates <= 1)).all()


def test_neurons_are_those_of_the_description() -> None:
    neuron = Neuron(threshold=0.7, decay=0.5, reset="soft", output="relu")
    assert all(block.neurons.neuron == neuron for block in build(Network(neuron=neuron), 3, 16).layers())


@pytest.mark.parametrize(
    ("attention", "said"),
    [
        (Attention(reduction=17), "reduction is 17.*frames, 16"),
        (Attention(spatial="csa_step", channel_reduction=32), "channel_reduction is 32.*here 16"),
        (Attention(frames="none", currents="none", spatial="asa", reduction=20), "reduction is 20.*frames, 16"),
    ],
)
def test_reduction_that_leaves_no_hidden_unit_is_refused(attention: Attention, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build(Network(attention=attention), 3, 16)


def test_shipped_weights_load_and_come_back() -> None:
    folder = resolve("ta_snn_sim")
    card = read_card(folder)
    net = load(folder, card)
    assert not net.training
    fresh = build(card.network, len(card.labels), card.input.frames)
    assert arrays_of(net).keys() == arrays_of(fresh).keys()
    assert all(array.dtype == "float32" for array in arrays_of(net).values())
    assert net.attention.variance != 1

"""Energy and firing rates against the check values of the sheets and a plain count."""

import msgspec
import pytest

from operators.nets.energy import Cost, cost, firing_rate
from operators.nets.layer_tables import layers
from operators.network import Attention, Network, Neuron

PLAIN = Attention(frames="none", currents="none")
TINY = Network(kind="tiny_a", attention=PLAIN)
FIRING = [0.129, 0.261, 0.278, 0.355, 0.1]


def tiny(firing: list[float] = FIRING, share: float = 1.0, **options: object) -> Cost:
    return cost(TINY, 11, 16, firing, share, **options)


def with_attention(**attention: object) -> Cost:
    network = Network(kind="tiny_a", attention=msgspec.structs.replace(PLAIN, **attention))
    return cost(network, 11, 16, [0.0] * 5)


def test_check_value() -> None:
    found = tiny()
    assert found.first_uj == pytest.approx(21.705523, abs=1e-6)
    assert found.accumulations == pytest.approx(7_656_506.368)
    assert found.later_uj == pytest.approx(6.890856, abs=1e-6)
    assert found.total_uj == pytest.approx(28.596379, abs=1e-6)
    assert found.score_uj == found.scaling_uj == 0
    assert [layer.macs for layer in found.layers] == [294_912, 1_179_648, 1_179_648, 65_536, 704]
    assert sum(layer.energy_uj for layer in found.layers) == pytest.approx(found.total_uj)


@pytest.mark.parametrize(
    ("kind", "macs", "neurons"),
    [
        ("gesture", 116_525_824, 106_763),
        ("cifar10_dvs", 311_953_920, 248_074),
        ("tiny_a", 2_720_448, 7_243),
        ("tiny_b", 28_509_568, 44_683),
    ],
)
def test_operations_and_neurons_of_the_tables(kind: str, macs: int, neurons: int) -> None:
    table = layers(kind, 10 if kind == "cifar10_dvs" else 11)
    assert sum(layer.macs for layer in table) == macs
    assert sum(layer.neurons for layer in table) == neurons
    assert [layer.macs for layer in layers("shd", 20)] == [700 * 128, 128 * 128, 128 * 20]


def test_spikes_of_the_published_network() -> None:
    """A rate of 0.173 over 60 steps of the Gesture network is 1.108 million spikes."""
    network = Network(kind="gesture", attention=PLAIN)
    rate = firing_rate(network, 11, [0.173] * 5)
    assert rate * 106_763 * 60 == pytest.approx(1.108e6, rel=1e-3)


def test_firing_rate_is_weighed_by_neurons() -> None:
    expected = (4096 * 0.129 + 2048 * 0.261 + 1024 * 0.278 + 64 * 0.355 + 11 * 0.1) / 7243
    assert firing_rate(TINY, 11, FIRING) == pytest.approx(expected)
    assert tiny().firing_rate == pytest.approx(expected)


def test_event_driven_first_layer() -> None:
    """Nine taps to each of 16 channels for every input that is not 0; 128 units in the network of single units."""
    assert tiny().event_driven_uj is None
    assert tiny(nonzero_inputs=1000.0).event_driven_uj == pytest.approx(4.6e-6 * 9 * 16 * 1000)
    shd = cost(Network(kind="shd", attention=PLAIN), 20, 10, [0, 0, 0], nonzero_inputs=10.0)
    assert shd.event_driven_uj == pytest.approx(4.6e-6 * 128 * 10)


def test_dropped_frames() -> None:
    """Skipped, they save their share of everything; as empty frames, of the first layer."""
    network = Network(kind="tiny_a")
    whole, half = (cost(network, 11, 16, FIRING, share) for share in (1.0, 0.5))
    assert half.total_uj == pytest.approx(whole.total_uj / 2)
    assert half.score_uj == pytest.approx(whole.score_uj / 2)
    empty = cost(network, 11, 16, FIRING, 0.5, zero_frames=True)
    assert empty.first_uj == pytest.approx(whole.first_uj / 2)
    assert empty.later_uj == whole.later_uj
    assert empty.scaling_uj == whole.scaling_uj


def test_analog_outputs_are_multiplied() -> None:
    network = Network(kind="tiny_a", attention=PLAIN, neuron=Neuron(output="relu"))
    found = cost(network, 11, 16, FIRING)
    assert found.accumulations == 0
    assert found.total_uj == pytest.approx(4.6e-6 * 16 * 2_720_448)


def test_attention_over_time() -> None:
    """Scores cost 2 * T * h and a sum over all neurons, scaling a multiplication for each current."""
    found = with_attention(currents="se", reduction=4)
    assert found.score_macs == 5 * 2 * 16 * 4
    assert found.score_additions == found.scaling_macs == 16 * 7243
    assert found.score_uj == pytest.approx(4.6e-6 * found.score_macs + 0.9e-6 * found.score_additions)
    assert found.scaling_uj == pytest.approx(4.6e-6 * found.scaling_macs)
    both = with_attention(currents="se", reduction=4, squeeze="avgmax")
    assert (both.score_macs, both.score_additions) == (2 * found.score_macs, 2 * found.score_additions)
    frames = with_attention(frames="c2")
    assert (frames.score_macs, frames.score_additions, frames.scaling_macs) == (16, 16 * 2048, 16 * 2048)


def test_attention_over_space() -> None:
    """Maps, channel weights and importance as the sheet counts them."""
    pixels, channels = [256, 64, 16], [16, 32, 64]
    of_maps = sum(18 * n for n in pixels)
    of_channels = sum(4 * c * (c // 8) for c in channels)
    currents = sum(n * c for n, c in zip(pixels, channels, strict=True))
    step, window = with_attention(spatial="csa_step"), with_attention(spatial="tcsa_window")
    assert window.score_macs == of_maps + of_channels
    assert step.score_macs == 16 * window.score_macs
    assert step.scaling_macs == 2 * 16 * currents
    large = with_attention(spatial="tcsa_window", kernel_px=7)
    assert large.score_macs == sum(98 * n for n in pixels) + of_channels
    asa = with_attention(spatial="asa", reduction=4)
    assert asa.score_macs == 2 * of_maps + sum(2 * 16 * 4 * c for c in channels)
    assert with_attention(spatial="asa", reduction=1).score_macs == 2 * of_maps + sum(256 * c for c in channels)
    assert asa.scaling_macs == 16 * currents
    assert with_attention(spatial="asa_step").score_macs == 16 * 2 * of_maps


def test_a_figure_for_every_layer_is_asked_for() -> None:
    with pytest.raises(ValueError, match=r"4 figures.*5 layers"):
        tiny([0.1] * 4)

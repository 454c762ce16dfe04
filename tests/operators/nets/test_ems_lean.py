"""The detector's form for live use gives the bits of the folded network, in every mode, for as long as it runs."""

import pytest
import torch

from operators.detector_network import Detector
from operators.nets.ems_lean import LeanEmsYolo, fits
from operators.nets.ems_stream import Stream
from operators.nets.ems_yolo import EmsYolo, folded

SIZES = ((64, 96), (96, 64), (32, 32))


def network(kind: str, **keys: object) -> EmsYolo:
    """A folded network whose statistics have seen some input."""
    torch.manual_seed(7)
    torch.set_num_threads(1)
    net = EmsYolo(Detector(kind=kind, classes=2, analog_head=True, **keys))
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        net(bins(3))
    return folded(net).to(memory_format=torch.channels_last)


def bins(T: int, size: tuple[int, int] = (64, 96), seed: int = 3) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return (torch.rand(T, 1, 2, *size, generator=rng) < 0.15).float()


@pytest.mark.parametrize("mode", ["continuous", "sliding", "clip"])
@pytest.mark.parametrize("kind", ["tiny8", "tiny16", "res10_ee"])
def test_the_same_bits(kind: str, mode: str) -> None:
    net = network(kind)
    assert fits(net)
    plain, lean = Stream(net, 3, mode), Stream(LeanEmsYolo(net), 3, mode)
    answers = 0
    for k, x in enumerate(bins(10)):
        if k == 7:
            plain.reset()
            lean.reset()
        a, b = plain.push(x), lean.push(x)
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            assert torch.equal(a.raw4, b.raw4)
            assert torch.equal(a.raw5, b.raw5)
            answers += 1
    assert answers >= 3


@pytest.mark.parametrize("readout", ["last", "lif_mem"])
def test_other_readouts_and_neurons(readout: str) -> None:
    from operators.detector_network import LeakyNeuron

    net = network("tiny8", readout=readout, neuron=LeakyNeuron(threshold=0.4, decay=0.6))
    plain, lean = Stream(net, 3, "continuous"), Stream(LeanEmsYolo(net), 3, "continuous")
    for x in bins(5):
        a, b = plain.push(x), lean.push(x)
        assert a is not None
        assert b is not None
        assert torch.equal(a.raw5, b.raw5)


def test_streams_of_different_sizes_share_a_network() -> None:
    """A stream's state is its own; memory is kept by size."""
    net = network("tiny8")
    lean = LeanEmsYolo(net)
    streams = [(Stream(net, 3, "continuous"), Stream(lean, 3, "continuous"), size) for size in SIZES * 2]
    for k in range(4):
        for n, (plain, mine, size) in enumerate(streams):
            x = bins(1, size, seed=10 * k + n)[0]
            a, b = plain.push(x), mine.push(x)
            assert a is not None
            assert b is not None
            assert torch.equal(a.raw4, b.raw4)


def test_what_it_cannot_run() -> None:
    """Other graphs, what is not folded, other types; a batch, and the state of other input."""
    assert not any(fits(network(kind)) for kind in ("resnet18", "res18_ee", "res18_sew"))
    assert not fits(network("tiny8", shortcut_lif=False))
    assert not fits(network("tiny8").double())
    assert not fits(EmsYolo(Detector(classes=2)))
    lean = LeanEmsYolo(network("tiny8"))
    with pytest.raises(ValueError, match="one sample at a time, not 2"):
        lean.step(torch.zeros(2, 2, 64, 96))
    _, _, state = lean.step(bins(1)[0])
    with pytest.raises(ValueError, match="belong to other input"):
        lean.step(bins(1, (64, 64))[0], state)

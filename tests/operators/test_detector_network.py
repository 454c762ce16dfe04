"""Parameters, operations and states of every graph against the figures of the sheet; read without torch."""

import subprocess
import sys

import msgspec
import pytest

from operators.detector_network import Detector, anchors_of, convolutions, decay_of, energy_mj, layout

PARAMETERS = {
    "res10_ee": (6_207_050, 6_387_230),
    "res18_ee": (9_343_370, 9_523_550),
    "res34_ee": (14_399_306, 14_579_486),
    "res18_sew": (9_497_418, 9_677_598),
    "resnet10": (17_381_482, 17_561_662),
    "resnet18": (15_247_594, 15_427_774),
    "resnet34": (33_847_274, 34_027_454),
    "resnet34_cat": (25_268_842, 25_449_022),
}
MACS = {"res10_ee": 1_463_040_000, "res18_ee": 2_406_758_400, "res34_ee": 4_294_195_200}
# Layers of tiny16 (256x320) and tiny8 (128x128): parameters and multiplications of a step.
TINY = {
    "stem": (320, 5_898_240, 160, 589_824),
    "s4.r1": (1_752, 8_847_360, 592, 589_824),
    "s4.r2": (2_640, 13_271_040, 1_184, 1_179_648),
    "s4.sc": (144, 2_621_440, 80, 262_144),
    "s8.r1": (5_232, 6_635_520, 1_752, 442_368),
    "s8.r2": (10_464, 13_271_040, 2_640, 663_552),
    "s8.sc": (624, 2_949_120, 144, 131_072),
    "s16.r1": (20_832, 6_635_520, 5_232, 331_776),
    "s16.r2": (41_664, 13_271_040, 10_464, 663_552),
    "s16.sc": (2_400, 2_949_120, 624, 147_456),
    "s32.r1": (83_136, 6_635_520, 20_832, 331_776),
    "s32.r2": (166_272, 13_271_040, 41_664, 663_552),
    "s32.sc": (9_408, 2_949_120, 2_400, 147_456),
    "a.r1": (83_040, 6_635_520, 20_784, 331_776),
    "a.r2": (41_664, 3_317_760, 10_464, 165_888),
    "a.sc": (18_624, 1_474_560, 4_704, 73_728),
    "p5.r1": (83_136, 6_635_520, 20_832, 331_776),
    "p5.r2": (166_272, 13_271_040, 41_664, 663_552),
    "p5.sc": (9_408, 737_280, 2_400, 36_864),
    "b.r1": (2_352, 184_320, 600, 9_216),
    "b.r2": (1_248, 92_160, 336, 4_608),
    "b.sc": (4_704, 368_640, 1_200, 18_432),
    "p4.r1": (62_304, 19_906_560, 15_600, 995_328),
    "p4.r2": (41_664, 13_271_040, 10_464, 663_552),
    "p4.sc": (14_016, 4_423_680, 3_552, 221_184),
    "head4": (2_037, 645_120, 1_029, 64_512),
    "head5": (4_053, 322_560, 2_037, 32_256),
}


@pytest.mark.parametrize("kind", PARAMETERS)
def test_parameters_of_the_published_graphs(kind: str) -> None:
    for classes, wanted in zip((2, 80), PARAMETERS[kind], strict=True):
        detector = Detector(kind=kind, classes=classes, inputs=3, analog_head=True)
        assert sum(row.parameters for row in convolutions(detector, 320, 320)) == wanted


@pytest.mark.parametrize("kind", MACS)
def test_operations_of_the_published_graphs(kind: str) -> None:
    """All of them, and those of what does not spike in the released form."""
    table = convolutions(Detector(kind=kind, classes=2, inputs=3, shortcut_lif=False), 320, 320)
    assert sum(row.macs for row in table) == MACS[kind]
    analog = {row.name: row.macs for row in table if row.driven != "spikes"}
    shortcuts = {"a.sc": 13_107_200, "b.sc": 3_276_800, "p4.sc": 39_321_600}
    heads = analog.pop("head4") + analog.pop("head5")
    assert (heads, analog) == (3_225_600, {"stem": 22_118_400, **shortcuts})


@pytest.mark.parametrize(
    ("kind", "size", "parameters", "macs", "neurons"),
    [
        ("tiny16", (256, 320), (878_540, 879_410, 880_280, 884_630), 170_490_880, 1_383_040),
        ("tiny8", (128, 128), (222_996, 223_434, 223_872, 226_062), 9_756_672, 148_544),
    ],
)
def test_our_graphs(kind: str, size: tuple, parameters: tuple, macs: int, neurons: int) -> None:
    """Totals, and layer by layer; the sheet counts a LIF for each convolution that one drives, shared or not."""
    for classes, wanted in zip((1, 2, 3, 8), parameters, strict=True):
        table = convolutions(Detector(kind=kind, classes=classes), *size)
        assert sum(row.parameters for row in table) == wanted
    table = convolutions(Detector(kind=kind, classes=2), *size)
    assert sum(row.macs for row in table) == macs
    assert (sum(row.neurons > 0 for row in table), sum(row.neurons for row in table)) == (24, neurons)
    columns = (0, 1) if kind == "tiny16" else (2, 3)
    found = {row.name: (row.parameters, row.macs) for row in table}
    assert found == {name: tuple(TINY[name][k] for k in columns) for name in TINY}


def test_energy_of_the_sheet() -> None:
    """Half-width Res10 at 320x320, five steps, 21.15 % of the neurons spiking."""
    for shortcut_lif, wanted in ((False, 3.179450), (True, 1.951239)):
        table = convolutions(Detector(kind="res10_ee", classes=2, inputs=3, shortcut_lif=shortcut_lif), 320, 320)
        rates = {row.name: 0.2115 for row in table}
        assert energy_mj(table, 5, rates, spiking_input=False) == pytest.approx(wanted, abs=1e-6)
    assert sum(row.macs for row in table) * 4.6e-9 == pytest.approx(6.729984)


def test_leak_by_the_length_of_a_step() -> None:
    leaks = [decay_of(1000 * ms) for ms in (10, 20, 25, 50, 100)]
    assert leaks == pytest.approx([0.757858, 0.574349, 0.5, 0.25, 0.0625], abs=1e-6)


def test_what_a_recipe_may_say() -> None:
    """Names of graphs are checked, anchors are six; analog units must be allowed; sides are multiples of 32."""
    detector = msgspec.convert({"classes": 2, "kind": "tiny16"}, Detector)
    assert anchors_of(detector)[1][0] == (81, 82)
    with pytest.raises(msgspec.ValidationError, match="Invalid enum value 'tiny9'"):
        msgspec.convert({"classes": 2, "kind": "tiny9"}, Detector)
    with pytest.raises(msgspec.ValidationError, match="length 3"):
        msgspec.convert({"classes": 2, "anchors": [[[1, 2]], [[3, 4]]]}, Detector)
    with pytest.raises(ValueError, match="analog_head: true"):
        layout(Detector(kind="resnet18", classes=2))
    with pytest.raises(ValueError, match="not 240x320"):
        convolutions(detector, 240, 320)


def test_read_without_torch() -> None:
    """Recipes and cards are checked without the heavy libraries; so are targets, decoding and evaluation."""
    names = "operators.detector_network, operators.detection.anchors, operators.detection.decode, "
    names += "operators.detection.loss, operators.detection.ema, operators.detection.coco"
    code = f"import sys, {names}; print({{'torch', 'numba', 'cv2'}} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "set()\n"

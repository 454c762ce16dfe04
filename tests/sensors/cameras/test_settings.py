"""Biases from mappings, presets and .bias files; regions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evpipe.errors import CameraError, UsageError
from sensors.cameras.settings import (
    biases_of,
    check_bias_names,
    check_region,
    preset_names,
    read_bias_file,
    read_preset,
)


def test_a_bias_file(tmp_path):
    """Lines `value % name`, decimal or hexadecimal, behind a header of lines that begin with %."""
    path = tmp_path / "mine.bias"
    path.write_text("% date 2026-01-01\n115  % bias_diff_on\n-20 % bias_fo\n0x1F % bias_refr\n\n115 % bias_diff_on\n")
    assert biases_of(str(path)) == {"bias_diff_on": 115, "bias_fo": -20, "bias_refr": 31}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("5 % a\nx % b\n", ":2: expected `value % name`, such as `115 % bias_diff_on`; found 'x % b'"),
        ("5 a\n", ":1: expected"),
        ("5 %\n", ":1: expected"),
        ("5 % a\n6 % a\n", ":2: gives a the value 6 after 5"),
    ],
)
def test_a_wrong_bias_file(tmp_path, text, says):
    """The message names file and line."""
    path = tmp_path / "wrong.bias"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        read_bias_file(str(path))
    assert f"{path}{says}" in str(error.value)


def test_a_missing_or_binary_bias_file(tmp_path):
    """It is a fault of the graph, with the reason."""
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        biases_of(str(tmp_path / "none.bias"))
    (tmp_path / "b.bias").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="it is no text"):
        biases_of(str(tmp_path / "b.bias"))


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,12}", fullmatch=True), st.integers(-(2**15), 2**15), max_size=8))
def test_what_is_written_is_read(tmp_path_factory, biases):
    """Any mapping written as lines comes back."""
    path = tmp_path_factory.mktemp("bias") / "x.bias"
    path.write_text("".join(f"{value:<6}% {name}\n" for name, value in biases.items()))
    assert read_bias_file(str(path)) == biases


@pytest.mark.parametrize("name", preset_names())
def test_presets_say_where_they_are_from_and_lie_in_their_ranges(name):
    """Each has a sensor, a source and values; published ranges hold."""
    preset = read_preset(name)
    assert preset.source
    assert preset.sensor
    assert preset.values == biases_of(name)
    for bias, (low, high) in preset.ranges.items():
        assert low <= preset.values[bias] <= high


def test_the_presets_there_are():
    """One per family of sensors."""
    assert preset_names() == ["davis346", "dvxplorer", "gen31", "gen41", "genx320", "genx320es", "imx636"]


def test_an_unknown_preset():
    """The names there are, and the nearest."""
    with pytest.raises(UsageError, match=r"'imx363' is neither a preset \(davis346, .*Did you mean 'imx636'\?"):
        biases_of("imx363")


def test_names_and_regions():
    """A bias or region that the camera does not have is refused with what it has."""
    with pytest.raises(CameraError, match=r"EVK4 has no bias 'dif_on'; it has: diff_on, fo. Did you mean 'diff_on'"):
        check_bias_names({"dif_on": 1}, ["diff_on", "fo"], "EVK4")
    check_region((0, 0, 64, 48), 64, 48, "EVK4")
    check_region(None, 64, 48, "EVK4")
    with pytest.raises(CameraError, match=r"roi \[1, 0, 64, 48\] reaches beyond the sensor of 64x48"):
        check_region((1, 0, 64, 48), 64, 48, "EVK4")

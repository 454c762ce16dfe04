"""Strict reading of YAML: where a fault is, what rule it breaks, what was meant."""

from pathlib import Path

import msgspec
import pytest

from evpipe.errors import UsageError
from operators.strict_yaml import nearest, read


class Inner(msgspec.Struct, kw_only=True):
    window_us: int
    size: tuple[int, int] = (1, 1)


class Outer(msgspec.Struct, kw_only=True):
    name: str
    inner: Inner
    many: list[Inner] = []


class Ring(msgspec.Struct, kw_only=True, tag_field="shape", tag="ring"):
    radius: float


class Box(msgspec.Struct, kw_only=True, tag_field="shape", tag="box"):
    width: float
    inner: Inner | None = None


class Drawing(msgspec.Struct, kw_only=True):
    one: Ring | Box
    more: list[Ring | Box] = []


def file(folder: Path, text: str) -> Path:
    path = folder / "thing.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_plain_values(tmp_path: Path) -> None:
    path = file(tmp_path, "name: a\ninner: {window_us: 5, size: [2, 3]}\nmany:\n- window_us: 1\n")
    assert read(path, Outer) == Outer(name="a", inner=Inner(window_us=5, size=(2, 3)), many=[Inner(window_us=1)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: a\ninner:\n  windw_us: 5\n", ["thing.yaml:3:3", "'windw_us'", "did you mean 'window_us'?"]),
        ("name: a\nxyz: 1\ninner: {window: 1}\n", ["thing.yaml:2:1", "thing.yaml:3:9", "did you mean 'window_us'?"]),
        ("name: a\ninner:\n  window_us: five\n", ["thing.yaml:3", "'inner.window_us'", "`int`"]),
        ("name: a\ninner: {window_us: 1}\nmany:\n- window_us: 1\n- window_us: x\n", ["thing.yaml:5", "'many.1."]),
        ("name: a\n", ["thing.yaml:1", "`inner`"]),
        ("name: [\n", ["no valid YAML", "line 2"]),
        ("- 1\n", ["thing.yaml:1", "`object`"]),
    ],
)
def test_faults_name_place_rule_and_remedy(tmp_path: Path, text: str, expected: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        read(file(tmp_path, text), Outer)
    for part in expected:
        assert part in str(caught.value)


def test_the_tag_chooses_the_variant(tmp_path: Path) -> None:
    path = file(tmp_path, "one: {shape: box, width: 2}\nmore:\n- {shape: ring, radius: 1.5}\n")
    assert read(path, Drawing) == Drawing(one=Box(width=2), more=[Ring(radius=1.5)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one:\n  shape: ring\n  raduis: 1\n", ["thing.yaml:3:3", "no field 'raduis'", "did you mean 'radius'?"]),
        ("one:\n  shape: ring\n  width: 1\n", ["thing.yaml:3:3", "no field 'width'", "there is: radius"]),
        ("one:\n  shape: rnig\n  radius: 1\n", ["thing.yaml:2:10", "'shape' is 'rnig'", "did you mean 'ring'?"]),
        ("one:\n  shape: [a]\n", ["thing.yaml:2:10", "there is: box, ring"]),
        ("one:\n  radius: 1\n", ["thing.yaml:2:3", "field 'shape' is missing", "there is: box, ring"]),
        ("one:\n  shpae: ring\n", ["'shape' is missing", "is 'shpae' meant for it?"]),
        ("one:\n  shape: box\n  width: x\n", ["thing.yaml:3", "'one.width'", "`float`"]),
        ("one:\n  shape: box\n  width: 1\n  inner: {windw_us: 1}\n", ["thing.yaml:4:11", "did you mean 'window_us'?"]),
        (
            "one: {shape: box, width: 1}\nmore:\n- shape: ring\n  radius: 1\n- shape: ring\n  radus: 1\n",
            ["thing.yaml:6:3", "did you mean 'radius'?"],
        ),
        ("one: 5\n", ["thing.yaml:1", "'one'"]),
    ],
)
def test_faults_inside_a_variant(tmp_path: Path, text: str, expected: list[str]) -> None:
    """Of a union only the fields of the variant that the tag names are taken."""
    with pytest.raises(UsageError) as caught:
        read(file(tmp_path, text), Drawing)
    for part in expected:
        assert part in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.yaml: cannot be read"):
        read(tmp_path / "none.yaml", Outer)


def test_nearest_lists_all_when_none_is_close() -> None:
    assert nearest("ta_snn_smi", ["ta_snn_sim", "other"]) == "did you mean 'ta_snn_sim'?"
    assert nearest("q", ["b", "a"]) == "there is: a, b"

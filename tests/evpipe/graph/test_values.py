"""Units and types: exact for every number, and a message for whatever does not fit."""

from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.graph.units import DIMENSIONS, UnfitValueError, quantity
from evpipe.graph.values import convert, meant, meta_of, short, type_text
from evpipe.operator import Micros, Param, ParamSpec

MICROS = Param(unit="us", min=1)


def parameter(type_: Any, meta: Param | None = None, name: str = "x") -> ParamSpec:
    return ParamSpec(name, type_, msgspec.NODEFAULT, meta or Param())


@pytest.mark.parametrize(
    ("value", "type_", "meta", "expected"),
    [
        ("20ms", int, MICROS, 20_000),
        ("1.5 s", int, MICROS, 1_500_000),
        ("480us", int, MICROS, 480),
        ("3 µs", int, MICROS, 3),
        ("2 min", int, MICROS, 120_000_000),
        ("1 h", int, MICROS, 3_600_000_000),
        ("1000 ns", int, MICROS, 1),
        ("1e3", int, MICROS, 1000),
        (1e6, int, MICROS, 1_000_000),
        (7, int, MICROS, 7),
        ("1500 ns", float, MICROS, 1.5),
        ("64 MiB", int, Param(unit="B"), 64 * 2**20),
        ("1 kB", int, Param(unit="B"), 1000),
        ("1 KiB", int, Param(unit="B"), 1024),
        ("1 GiB", int, Param(unit="B"), 2**30),
        ("1 TiB", int, Param(unit="B"), 2**40),
        ("1 GB", int, Param(unit="B"), 10**9),
        ("1 TB", int, Param(unit="B"), 10**12),
        ("2 kev", int, Param(unit="ev"), 2000),
        ("1 Gev/s", int, Param(unit="ev/s"), 10**9),
        ("50 mV", float, Param(unit="V"), 0.05),
        ("10 Mev/s", float, Param(unit="ev/s"), 1e7),
        ("10 MB/s", int, Param(unit="B/s"), 10**7),
        ("30 kHz", float, Param(unit="Hz"), 30_000.0),
        ("12 px", int, Param(unit="px"), 12),
        ("50 %", float, None, 0.5),
        ("50%", float, Param(unit="%"), 50.0),
        (["1ms", "2ms"], tuple[int, int], MICROS, (1000, 2000)),
        ("5ms", Annotated[int, Param(unit="us")] | None, None, 5000),
        (None, Micros | None, None, None),
        (3, float, None, 3.0),
        ([1, 2.0], list[int], None, [1, 2]),
        ("on", Literal["on", "off"], None, "on"),
        ("10 %", str, None, "10 %"),
        ("auto", Literal["auto"] | int, MICROS, "auto"),
        ({"1": "a"}, dict[int, str], None, {1: "a"}),
        ({"a": [1]}, dict[str, list[int]], None, {"a": [1]}),
    ],
)
def test_values_that_fit(value: Any, type_: Any, meta: Param | None, expected: Any) -> None:
    """Each becomes exactly the value meant, of the type meant."""
    made = convert(value, parameter(type_, meta))
    assert made == expected
    assert type(made) is type(expected)


@pytest.mark.parametrize(
    ("value", "type_", "meta", "message"),
    [
        ("20 kB", int, MICROS, "takes a number in us, found '20 kB'"),
        ("20 mss", int, MICROS, "takes a number in us, found '20 mss'"),
        ("soon", int, MICROS, "takes int (us), found 'soon'"),
        ("0.5us", int, MICROS, "takes a whole number of us, found '0.5us', which is 0.5"),
        (0.5, int, MICROS, "takes int (us), found 0.5"),
        (0, int, MICROS, "must be at least 1 us, found 0"),
        (float("nan"), float, Param(min=0, max=1), "must be from 0 to 1, found nan"),
        ([1, 9], tuple[int, int], Param(max=8), "must be at most 8, found [1, 9]"),
        ("16", int, None, "takes int, found '16'"),
        (True, int, None, "takes int, found true"),
        ("yes", bool, None, "takes true or false, found 'yes'"),
        (None, str, None, "takes text, found null"),
        ([1], tuple[int, int], None, "takes [int, int], found [1]"),
        ("onn", Literal["on", "off"], None, "takes one of 'on', 'off', found 'onn'"),
        ({"a": "b"}, dict[str, int], None, "takes a mapping of text to int, found {'a': 'b'}"),
    ],
)
def test_values_that_do_not_fit(value: Any, type_: Any, meta: Param | None, message: str) -> None:
    """The message has the rule and the value found."""
    with pytest.raises(UnfitValueError) as caught:
        convert(value, parameter(type_, meta))
    assert str(caught.value).startswith(message)


UNITS = [(own, other) for dimension in DIMENSIONS for own in dimension for other in dimension if own and other]


@settings(deadline=None, max_examples=200)
@given(st.decimals(-(10**9), 10**9, places=3), st.sampled_from(UNITS), st.sampled_from(["", " ", "  "]))
def test_units_convert_exactly(number: Decimal, units: tuple[str, str], space: str) -> None:
    """Any number in any unit, read in another unit of its kind, is the exact fraction."""
    own, other = units
    dimension = next(d for d in DIMENSIONS if own in d and other in d)
    expected = Fraction(number) * dimension[own] / dimension[other]
    assert quantity(f"{number:f}{space}{own}", other) == expected


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=12), st.sampled_from(["us", "B", "ev/s", None]))
def test_any_text_is_a_quantity_or_none(text: str, unit: str | None) -> None:
    """No text makes the reader fail otherwise than by its own error."""
    try:
        found = quantity(text, unit)
    except UnfitValueError:
        found = None
    assert found is None or isinstance(found, Fraction)


@settings(deadline=None, max_examples=100)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=4))
def test_any_value_fits_or_is_refused(value: Any) -> None:
    """Whatever YAML may hold, the result is of the parameter's type or the error is ours."""
    for type_ in (int, float, str, bool, tuple[int, int], Literal["a", 1], int | None):
        try:
            made = convert(value, parameter(type_, MICROS if type_ in (int, float) else None))
        except UnfitValueError:
            continue
        assert msgspec.convert(made, type_) == made


def test_the_suffix_of_a_name_may_be_left_off() -> None:
    """`window` is `window_us`; an exact name comes first; other endings stay."""
    assert meant("window", ["window_us"]) == "window_us"
    assert meant("window_us", ["window_us"]) == "window_us"
    assert meant("window", ["window", "window_us"]) == "window"
    assert meant("window", ["window_rate"]) is None
    assert short(parameter(int, MICROS, "window_us")) == "window"
    assert short(parameter(int, None, "window_us")) == "window_us"


def test_what_an_annotation_adds_is_found_inside_a_union() -> None:
    """`Micros | None` has the unit and the range of `Micros`."""
    assert meta_of(parameter(Micros | None)) == MICROS
    with pytest.raises(UnfitValueError, match="at least 1 us"):
        convert("0us", parameter(Micros | None))


def test_types_in_words() -> None:
    """Types are told as people say them."""
    assert type_text(int | None, "us") == "int or null (us)"
    assert type_text(tuple[float, ...]) == "a list of float"
    assert type_text(list[str]) == "a list of text"
    assert type_text(Literal["a", 1, True]) == "one of 'a', 1, true"

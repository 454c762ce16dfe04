"""Figures as a person reads them."""

import math

import pytest

from evpipe.view import words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 ev/s"),
        (999, "999 ev/s"),
        (999.7, "1.00 kev/s"),
        (12_345, "12.3 kev/s"),
        (812_000, "812 kev/s"),
        (1.42e6, "1.42 Mev/s"),
        (2.5e9, "2.50 Gev/s"),
    ],
)
def test_rate(value: float, text: str) -> None:
    assert words.rate(value) == text


def test_times() -> None:
    assert words.span_us(33_000) == "33 ms"
    assert words.span_us(2_500) == "2.5 ms"
    assert words.age_ms(23.4) == "23 ms"
    assert words.age_ms(1_440) == "1.4 s"
    assert words.age_ms(math.nan) == "–"
    assert words.clock_s(12_399_999) == "0:12.3"
    assert words.clock_s(3_753_400_000) == "1:02:33.4"

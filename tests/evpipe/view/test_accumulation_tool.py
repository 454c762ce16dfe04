"""What a person types and steps through."""

import pytest

from evpipe.view.surface import Accumulation

NOW = Accumulation(mode="time", us=33_000, count=20_000)


@pytest.mark.parametrize(
    ("text", "mode", "value"),
    [
        ("20", "time", 20_000),
        ("20ms", "time", 20_000),
        (" 2.5 ms ", "time", 2_500),
        ("1500 us", "time", 1_500),
        ("0.1 s", "time", 100_000),
        ("9 s", "time", 500_000),
        ("1 us", "time", 1_000),
        ("5 000 ev", "count", 5_000),
        ("5k", "count", 5_000),
        ("90 Mev", "count", 1_000_000),
    ],
)
def test_typed(qt: None, text: str, mode: str, value: int) -> None:
    """Times and counts with their units, held within their range."""
    from evpipe.view.accumulation_tool import read

    new = read(text, NOW)
    assert new is not None
    assert new.mode == mode
    assert (new.us if mode == "time" else new.count) == value


@pytest.mark.parametrize("text", ["", "soon", "-3", "3 h", "1.2.3", "."])
def test_unreadable(qt: None, text: str) -> None:
    """Nonsense changes nothing."""
    from evpipe.view.accumulation_tool import read

    assert read(text, NOW) is None


def test_steps_stop_at_the_ends(qt: None) -> None:
    """Up and down by steps of about a half; 1 to 500 ms."""
    from evpipe.view.accumulation_tool import stepped

    up = down = NOW
    for _ in range(30):
        up, down = stepped(up, 1), stepped(down, -1)
    assert (up.us, down.us) == (500_000, 1_000)
    assert stepped(Accumulation(us=34_000), 1).us == 50_000

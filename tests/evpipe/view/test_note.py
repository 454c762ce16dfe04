"""What the header of the scores says of an answer."""

import numpy as np

from evpipe.packets import Scores
from evpipe.view.words import lacks, note, time_span


def scores(lookahead_us: int = 0, **extras: float) -> Scores:
    nothing = np.zeros(0, np.float32)
    return Scores(
        t0_us=0, t1_us=1, labels=("a",), values=np.ones(1, np.float32), attention=nothing, kept=np.zeros(0, np.bool_),
        lookahead_us=lookahead_us, extras=extras,
    )  # fmt: skip


def test_look_ahead_and_delay_come_first_and_what_has_no_room_is_left_out() -> None:
    extras = {"margin": 0.38, "warm": 1.0, "held": 0.0, "kept_share": 1.0, "delay_us": 60_000.0}
    assert note(scores(450_000, **extras)) == "look-ahead 450 ms  ·  delay 60 ms"
    assert note(scores(0, margin=0.38)).endswith("margin 0.38")
    assert note(scores()) == ""


def test_answers_on_pairs_are_told_in_words() -> None:
    """How many pairs, whether these are all, the margin; what is drawn elsewhere is not said again."""
    extras = {
        "n": 8.0, "complete": 1.0, "margin": 0.4, "rgb": 1.0, "events": 1.0, "untold": 0.0, "on": 5.0, "off": 7.0,
        "lag_us": 0.0, "form_1": 2.0, "route_margin": 0.1, "route_entropy": 0.3, "session": 0.0,
    }  # fmt: skip
    assert note(scores(0, **extras)) == "8 pairs  ·  margin 0.40"
    assert note(scores(0, **(extras | {"n": 1.0, "complete": 0.0}))) == "1 pair so far  ·  margin 0.40"
    assert lacks(scores(0, **extras)) == ""
    assert lacks(scores(0, **(extras | {"rgb": 0.0, "untold": 1.0}))) == "without a picture, events incomplete"
    assert lacks(scores(0, **(extras | {"events": 0.0, "untold": 1.0}))) == "without events"


def test_a_span_of_time() -> None:
    assert time_span(4_930_000, 4_970_000) == "4.9300 to 4.9700 s  (40 ms)"

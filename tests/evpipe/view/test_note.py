"""What the header of the scores says of an answer."""

import numpy as np

from evpipe.packets import Scores
from evpipe.view.views import _note


def scores(lookahead_us: int = 0, **extras: float) -> Scores:
    nothing = np.zeros(0, np.float32)
    return Scores(
        t0_us=0, t1_us=1, labels=("a",), values=np.ones(1, np.float32), attention=nothing, kept=np.zeros(0, np.bool_),
        lookahead_us=lookahead_us, extras=extras,
    )  # fmt: skip


def test_look_ahead_and_delay_come_first_and_what_has_no_room_is_left_out() -> None:
    extras = {"margin": 0.38, "warm": 1.0, "held": 0.0, "kept_share": 1.0, "delay_us": 60_000.0}
    assert _note(scores(450_000, **extras)) == "look-ahead 450 ms  ·  delay 60 ms"
    assert _note(scores(0, margin=0.38)).endswith("margin 0.38")
    assert _note(scores()) == ""

"""A picture and the events of its exposure, as two pictures side by side: what a fusion network looks at."""

from __future__ import annotations

import msgspec
import numpy as np

from evpipe.errors import NodeError
from evpipe.packets import U8, FramePair

NOTHING, OFF, ON = 0, 1, 2


class PairPicture(msgspec.Struct, frozen=True):
    """`image` uint8 [H, W] or [H, W, 3], `shades` uint8 [h, w] of NOTHING, OFF, ON; None where one is missing.

    The span of the events is [t0_us, t1_us); `n_on` and `n_off` count them. `lag_us` and `complete` as of FramePair.
    """

    t0_us: int
    t1_us: int
    image: U8 | None
    shades: U8 | None
    n_on: int
    n_off: int
    lag_us: int
    complete: bool


def pair_picture(pair: FramePair) -> PairPicture:
    """The two pictures, own memory. A pixel that had both is OFF, as the network is shown it.

    Raises NodeError when an event lies outside of the sensor that the packet states.
    """
    shades: U8 | None = None
    n_on = int(np.count_nonzero(pair.p))
    if pair.has_events:
        shades = np.zeros((pair.height, pair.width), np.uint8)
        on = pair.p == 1
        try:
            shades[pair.y[on], pair.x[on]] = ON
            shades[pair.y[~on], pair.x[~on]] = OFF
        except IndexError:
            raise NodeError(
                f"events reach x {pair.x.max()}, y {pair.y.max()} on a sensor of {pair.width} x {pair.height} pixels; "
                "the source states a wrong size or decodes wrongly"
            ) from None
    return PairPicture(
        t0_us=pair.t0_us,
        t1_us=pair.t1_us,
        image=np.array(pair.image, order="C") if pair.has_image else None,
        shades=shades,
        n_on=n_on,
        n_off=len(pair.p) - n_on,
        lag_us=pair.lag_us,
        complete=pair.complete,
    )

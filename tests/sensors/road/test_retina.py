"""Pictures of a scene: each from the empty street, whatever was painted before."""

import numpy as np

from sensors.road.retina import picture
from sensors.road.scene import RoadScene


def test_pictures_leave_no_trails() -> None:
    """A moment looks the same before and after other moments were taken, and the empty street stays empty."""
    scene = RoadScene((130, 173), 3, 0, False)
    empty = scene.empty.copy()
    first = picture(scene, 900_000)
    later = picture(scene, 1_500_000)
    assert (first != later).any(2).sum() > 200
    np.testing.assert_array_equal(picture(scene, 900_000), first)
    np.testing.assert_array_equal(scene.empty, empty)
    blurred = picture(scene, 900_000, exposures=3, exposure_us=20_000)
    assert (blurred != first).any()

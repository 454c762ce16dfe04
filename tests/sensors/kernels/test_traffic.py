"""Cars and people on the screen against the same points projected one by one by the street and the view."""

from functools import partial

import numpy as np

from sensors.kernels import patches as c
from sensors.kernels import traffic
from sensors.road.cars import CarPatches, draw_car
from sensors.road.street import draw_street
from sensors.road.walkers import LIMBS, Crowd, colours, draw_walker, joints


def street(seed, night=False):
    return draw_street((260, 346), night, np.random.default_rng(seed))


def test_points_are_projected_as_the_view_does() -> None:
    """To the last bit: the arithmetic is the same."""
    rng = np.random.default_rng(0)
    for seed in range(6):
        place = street(seed)
        s, q, up = rng.uniform(-40, 40, 200), rng.uniform(-8, 8, 200), rng.uniform(0, 2, 200)
        wanted = np.stack(place.view.project(place.to_room(s, q, up)), -1)
        found = np.array([traffic.project(place.seen_from, *point) for point in zip(s, q, up, strict=True)])
        np.testing.assert_array_equal(found, wanted)


def test_cars_stand_where_their_corners_are() -> None:
    """Quads clockwise on the screen, faces away from the camera not painted, nothing of a car that is too near."""
    for seed in range(4):
        place = street(seed, night=bool(seed % 2))
        car = CarPatches(draw_car(np.random.default_rng(seed)), place)
        s, q, ahead = np.array([-12.0, 0.0, 3.0, 60.0]), -place.half_m / 2, -1.0
        out, ground = car.on_screen(s, q, ahead)
        assert out.shape == (4, car.count, c.COLUMNS)
        assert ground.shape == (4, 2, c.COLUMNS)
        for t in range(4):
            along, left, up = car._corners.transpose(2, 0, 1)
            x, y, z = place.view.project(place.to_room(s[t] + ahead * along, q + ahead * left, up))
            quad = ~car._disc
            wanted = np.stack([x, y], -1)[quad]
            found = out[t, quad, c.G0 : c.G0 + 8].reshape(-1, 4, 2)
            # The same corners, begun at the same one, maybe the other way round.
            same = partial(np.isclose, found, rtol=1e-5, atol=1e-2)
            either, turned = (same(order).all((1, 2)) for order in (wanted, wanted[:, [0, 3, 2, 1]]))
            assert (either | turned).all()
            px, py = found[..., 0], found[..., 1]
            area = (np.roll(py, -1, 1) * px - np.roll(px, -1, 1) * py).sum(1)
            assert (area >= -1e-5 * (np.abs(px * py).max(1) + 1)).all()
            assert z.min() < 1.0 or out[t, :, c.OPACITY].any()
            assert z.min() >= 1.0 or not out[t, :, c.OPACITY].any()
        assert (ground[:, :, c.KIND] == c.SPOT).all()
        assert place.night or not ground[:, 1, c.OPACITY].any()


def test_people_are_their_joints() -> None:
    """Each limb lies between its two joints, as thick as distance makes it."""
    place = street(2)
    people = [draw_walker(np.random.default_rng(k)) for k in range(3)]
    crowd = Crowd(people, [colours(walker, place) for walker in people], place)
    rng = np.random.default_rng(1)
    s, q = rng.uniform(-10, 10, (5, 3)), rng.uniform(-6, 6, (5, 3))
    heading, metres = rng.uniform(-3, 3, 3), rng.uniform(0, 9, (5, 3))
    out, ground = crowd.on_screen(s, q, heading, metres)
    assert out.shape == (5, 3, len(LIMBS), c.COLUMNS)
    for n, walker in enumerate(people):
        h = walker.stature
        at = joints(h, metres[:, n] / (0.80 * h) + walker.phase, walker.vigour)
        for k, (a, b, ra, rb, _) in enumerate(LIMBS):
            for name, radius, column in ((a, ra, c.G0), (b, rb, c.G0 + 2)):
                ahead, left, up = (np.broadcast_to(each, 5) for each in at[name])
                cos, sin = np.cos(heading[n]), np.sin(heading[n])
                x, y, z = place.view.project(
                    place.to_room(s[:, n] + ahead * cos - left * sin, q[:, n] + ahead * sin + left * cos, up)
                )
                np.testing.assert_allclose(out[:, n, k, column], x, rtol=1e-5, atol=1e-3)
                np.testing.assert_allclose(out[:, n, k, column + 1], y, rtol=1e-5, atol=1e-3)
                wide = h * walker.build if a in ("pelvis", "waist", "chest") else h
                end = c.G0 + 4 + (column != c.G0)
                thick = radius * wide * place.view.focal_px / np.maximum(z, 0.5)
                np.testing.assert_allclose(out[:, n, k, end], thick, rtol=1e-5)
    assert (ground[..., c.KIND] == c.SPOT).all()

"""What an epoch draws: every clip as often as asked, changed alike in its pairs, never without any picture."""

import msgspec
import numpy as np
import torch

from operators.event_picture import normalised
from operators.learn.fusion.batches import epoch, tensor
from operators.learn.fusion.recipe import Augment

PLAIN = Augment(shift_px=0, brightness=0, contrast=0, keep=(1.0, 1.0), noise=0, drop_rgb=0, drop_events=0)


def test_pictures_are_normalised_as_live_ones() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 6, 3), np.uint8)
    np.testing.assert_array_equal(tensor(pictures).numpy(), normalised(pictures))


def test_each_clip_is_drawn_with_different_pairs(pairs) -> None:
    clips = pairs(2, 0)
    batches = list(epoch(clips, 4, 3, 2, PLAIN, "both", np.random.default_rng(0)))
    assert len(batches) == 6
    wanted = tensor(clips.rgb)
    seen = np.zeros(clips.rgb.shape[:2], int)
    for batch in batches:
        for draw in zip(batch.rgb.split(2), batch.labels.split(2), strict=True):
            found = [
                [tuple(place) for place in np.argwhere((wanted == one).all(4).all(3).all(2).numpy())] for one in draw[0]
            ]
            ((first,), (second,)) = found
            assert first[0] == second[0]
            assert first[1] != second[1]
            assert (draw[1] == clips.labels[first[0]]).all()
            for place in (first, second):
                seen[place] += 1
        assert batch.valid.all()
    assert (seen.sum(1) == 6).all()


def test_a_pair_never_lacks_both(pairs) -> None:
    half = msgspec.structs.replace(PLAIN, drop_rgb=0.3, drop_events=0.5)
    valid = torch.cat([b.valid for b in epoch(pairs(64, 0), 32, 1, 3, half, "both", np.random.default_rng(0))])
    assert valid.any(1).all()
    np.testing.assert_allclose((~valid).double().mean(0).numpy(), [0.3, 0.5], atol=0.06)
    for alone in ("rgb", "events"):
        assert next(epoch(pairs(8, 0), 8, 1, 3, half, alone, np.random.default_rng(0))).valid.all()


def test_changes_belong_to_a_draw_and_to_the_seed(pairs) -> None:
    strong = Augment(flip=0.5, shift_px=3, brightness=0.5, contrast=0.5, keep=(0.5, 0.9), noise=0.01)
    one, same, other = (
        next(epoch(pairs(4, 0), 8, 1, 3, strong, "both", np.random.default_rng(seed))) for seed in (1, 1, 2)
    )
    for a, b in zip(one, same, strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one.rgb, other.rgb)
    # One picture in all pairs: lit and moved alike, thinned each by itself.
    clips = pairs(4, 0)
    still = clips._replace(rgb=clips.rgb[:, :1].repeat(3, 1), events=clips.events[:, :1].repeat(3, 1))
    batch = next(epoch(still, 8, 1, 3, strong, "both", np.random.default_rng(1)))
    rgb, events = batch.rgb.reshape(8, 3, -1), batch.events.reshape(8, 3, -1)
    assert torch.equal(rgb[:, 0], rgb[:, 1])
    assert not torch.equal(events[:, 0], events[:, 1])

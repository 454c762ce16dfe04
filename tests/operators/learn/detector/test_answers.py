"""What is read many bins at once is what a stream answers bin by bin."""

import numpy as np
import pytest
import torch

from operators.detection.decode import EVALUATION, Thresholds
from operators.detection.letterbox import letterbox
from operators.detector_network import Detector
from operators.learn.detector.answers import (
    Answer,
    Firing,
    all_moments,
    binary,
    found_boxes,
    read,
    spread_moments,
    true_boxes,
)
from operators.nets.ems_stream import Stream
from operators.nets.ems_yolo import EmsYolo, folded

T = 3


def network(clips) -> EmsYolo:
    """In double precision: in single, a potential within rounding of the threshold may fire or not."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = EmsYolo(Detector(classes=2))
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        net(torch.from_numpy(np.minimum(clips.counts, 1).astype("f4")).transpose(0, 1))
    return folded(net.double())


@pytest.mark.parametrize("carried", [False, True])
@pytest.mark.parametrize("steps", [8, 2])
def test_answers_are_those_of_a_stream(bin_clips, carried: bool, steps: int) -> None:
    """Clips shorter than T bins follow empty ones."""
    clips = bin_clips(10, 5, steps=steps)
    lean, firing = network(bin_clips(3, 4)), Firing()
    moments = all_moments(clips, T)
    found = list(read(lean, T, clips, moments, firing, carried=carried))
    assert sorted(answer[:2] for answer in found) == [tuple(row) for row in moments.tolist()]
    assert len(found) == 10 * (6 if steps == 8 else 2)
    for clip, last, raws in found[::7]:
        stream = Stream(lean, T, "continuous" if carried else "sliding")
        for x in binary(clips, clip, min(0, steps - T), last + 1):
            reading = stream.push(torch.from_numpy(x)[None].double())
        missing = T - reading.bins
        if missing and not carried:
            continue  # the stream has not seen the empty bins before the clip
        assert np.allclose(reading.raw4[0].numpy(), raws[0], atol=1e-9)
        assert np.allclose(reading.raw5[0].numpy(), raws[1], atol=1e-9)
    assert len(firing.rates()) == 16
    assert 0 < np.mean(firing.rates()) < 1


def test_moments(bin_clips) -> None:
    clips = bin_clips(2, 1)
    assert all_moments(clips, T).tolist() == [[clip, last] for clip in (0, 1) for last in range(2, 8)]
    assert all_moments(clips, T, clipwise=True).tolist() == [[clip, last] for clip in (0, 1) for last in (2, 5)]
    assert spread_moments(clips, T, None).tolist() == [[0, 2], [0, 7], [1, 2], [1, 7]]
    assert spread_moments(clips, T, 3).tolist() == [[0, 2], [0, 4], [0, 7], [1, 2], [1, 4], [1, 7]]
    labelled = np.zeros_like(clips.labelled)
    labelled[1, 4] = True
    assert all_moments(clips._replace(labelled=labelled), T).tolist() == [[1, 4]]
    short = bin_clips(1, 1, steps=2)
    assert all_moments(short, T).tolist() == [[0, 0], [0, 1]]
    assert all_moments(short, T, clipwise=True).tolist() == [[0, 1]]


def test_boxes_are_in_sensor_pixels(bin_clips) -> None:
    """And never beyond the sensor."""
    box = letterbox((240, 304), (64, 96))
    net = EmsYolo(Detector(classes=2))
    raws = tuple(np.full((21, 64 // s, 96 // s), 3, np.float32) for s in (16, 32))
    found = found_boxes(Answer(0, 0, raws), net, Thresholds(EVALUATION.score, 0.99), box)
    assert len(found.scores)
    assert (found.corners >= 0).all()
    assert (found.corners[:, 2] <= 304).all()
    assert (found.corners[:, 3] <= 240).all()
    rows = bin_clips(1, 1).at(0, 0)
    assert np.allclose(box.to_input(true_boxes(rows, box).corners)[:, :2].clip(0), rows["corners"][:, :2], atol=8)


def test_rates_are_weighed_by_pictures() -> None:
    firing = Firing()
    firing.add(30, [0.1, 0.3])
    firing.add(10, [0.5, 0.3])
    assert firing.rates() == pytest.approx((0.2, 0.3))
    assert Firing().rates() == ()

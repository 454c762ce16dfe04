"""Figures of a fusion model: repeatable, by condition, with one modality missing, with a form forced."""

import msgspec
import numpy as np
import pytest
import torch

from evpipe.errors import InputError, UsageError
from operators.event_picture import normalised, shrunk
from operators.fusion_card import FusionCard, PairInput, read_fusion_card
from operators.learn.fusion import baseline, evaluation
from operators.learn.fusion.answers import answer, by_condition, counts_of, decisions
from operators.learn.fusion.evaluation import measure, measure_speed
from operators.learn.fusion.kit import arrays_of
from operators.learn.fusion.training import train
from operators.mmhco import load
from operators.model_card import write
from operators.nets.mmhco import Mmhco
from operators.streaming.pair_ring import mean_logits


def write_model(folder, recipe, pairs, modalities="both"):
    """A model of the toy, trained for a moment."""
    torch.set_num_threads(1)
    network = msgspec.structs.replace(recipe.network, modalities=modalities)
    schedule = msgspec.structs.replace(recipe.schedule, epochs=3, batch=16, pairs_per_clip=3, route_warm_up=0.0)
    recipe = msgspec.structs.replace(recipe, network=network, schedule=schedule)
    net, _ = train(recipe, pairs(24, 0), pairs(4, 1))
    seen = baseline.SEEN if modalities == "both" else (modalities,)
    fitted = baseline.fit_all(pairs(24, 0), pairs(4, 1), seen)
    card = FusionCard(
        evpipe_model=1, name="toy", about="toy", licence="Apache-2.0", network=network,
        input=PairInput(pairs=3, sensor=(32, 32)), labels=pairs(1, 0).names, training={}, figures={}, repeat="",
    )  # fmt: skip
    write(folder, card, arrays_of(net) | baseline.arrays_of(fitted))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a model, kept for all tests of this module."""
    return {"folder": tmp_path_factory.mktemp("model") / "toy"}


@pytest.fixture
def model(made, recipe, pairs):
    if not (made["folder"] / "model.yaml").is_file():
        write_model(made["folder"], recipe, pairs)
    return made["folder"]


def test_figures_say_what_the_network_answers(model, pairs) -> None:
    clips, card = pairs(9, 3), read_fusion_card(model)
    heard = []
    measured = measure(model, card, clips, lambda *done: heard.append(done))
    figures = measured.figures
    assert heard[-1] == (7, 7)
    assert measure(model, card, clips).figures == figures
    assert msgspec.json.decode(msgspec.json.encode(figures)) == figures
    for choice, modalities in (("both", (0, 1)), ("rgb", (0,)), ("events", (1,))):
        net = load(model, card)
        given = [net_in(clips.rgb) if 0 in modalities else None, net_in(clips.events) if 1 in modalities else None]
        with torch.inference_mode():
            logits = net.pair_logits(*given).logits.reshape(36, 3, 4)
        right = logits.double().mean(1).argmax(1).numpy() == clips.labels
        assert figures["modalities"][choice] == pytest.approx(
            np.mean([right[clips.condition == k].mean() for k in (0, 1)]), abs=1e-4
        )
        one_by_one = (logits.argmax(2).numpy() == clips.labels[:, None])[clips.condition == 1].mean()
        assert figures["conditions"]["dark"]["pair_accuracy"][choice] == pytest.approx(one_by_one, abs=1e-4)
    assert figures["accuracy"] == figures["modalities"]["both"] > figures["chance"] == 0.25
    assert figures["conditions"]["normal"]["clips"] == 20
    assert [sum(block) for block in figures["forms"]] == [36 * 3] * 5
    assert np.sum(list(measured.forms.values()), 0).tolist() == figures["forms"]
    assert set(figures["forced"]) == {"identity", "difference", "cross gate"}
    assert np.sum(figures["confusion"]) == 36
    assert figures["baseline"] == max(figures["baselines"].values())
    assert measured.probabilities.sum(1) == pytest.approx(np.ones(36))
    assert (measured.live.clips, measured.live.same) == (6, 6)
    assert measured.live.largest_difference < 1e-4


def net_in(pictures):
    return torch.from_numpy(normalised(pictures.reshape(-1, *pictures.shape[2:])))


def test_a_network_of_one_modality_has_figures_of_it_alone(tmp_path, recipe, pairs) -> None:
    folder = write_model(tmp_path, recipe, pairs, "events")
    measured = measure(folder, read_fusion_card(folder), pairs(4, 3))
    assert set(measured.figures["modalities"]) == set(measured.figures["baselines"]) == {"events"}
    assert "forms" not in measured.figures
    assert measured.forms == {}


def test_labels_follow_names_and_unknown_ones_are_refused(model, pairs) -> None:
    clips, card = pairs(4, 3), read_fusion_card(model)
    turned = clips._replace(names=clips.names[::-1], labels=3 - clips.labels)
    assert measure(model, card, turned).figures == measure(model, card, clips).figures
    with pytest.raises(UsageError, match="the data has juggling besides"):
        measure(model, card, clips._replace(names=("juggling", *clips.names[1:])))


def test_clips_are_answered_as_a_ring_answers(pairs) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(5, 8, 12)).astype("f4") * 1e3
    for clip, found in zip(logits, decisions(logits), strict=True):
        np.testing.assert_array_equal(found, mean_logits(list(clip)))
    assert counts_of(np.array([[[[0]], [[2]]], [[[2]], [[1]]]], np.uint8).reshape(2, 2, 1, 1)) == ((1, 1, 2),)
    clips = pairs(4, 0)
    assert by_condition(clips.condition == 1, clips) == {"normal": 0.0, "dark": 1.0}


def test_batches_do_not_change_answers(recipe, pairs) -> None:
    torch.manual_seed(1)
    net = Mmhco(recipe.network, 4).eval()
    net.route_force = 1
    clips = pairs(24, 0)
    many, few = (answer(net, clips._replace(rgb=clips.rgb[:n], events=clips.events[:n])) for n in (96, 2))
    assert many.logits.shape == (96, 3, 4)
    assert many.routes.shape == (96, 3, 5, 1)
    np.testing.assert_allclose(many.logits[:2], few.logits, atol=1e-6)


def test_speed_leaves_the_threads_as_they_were(model, pairs, monkeypatch) -> None:
    monkeypatch.setattr(evaluation, "TIMED", 4)
    monkeypatch.setattr(evaluation, "UNTIMED", 1)
    torch.set_num_threads(1)
    speed = measure_speed(model, read_fusion_card(model), pairs(4, 0), 2)
    assert torch.get_num_threads() == 1
    assert 0 < speed.p10_ms <= speed.median_ms <= speed.p90_ms


def test_regressions_see_area_means(pairs, tmp_path) -> None:
    clips = pairs(3, 0)
    found = baseline.features(clips)
    assert {choice: features.shape for choice, features in found.items()} == {
        "both": (12, 1536), "rgb": (12, 768), "events": (12, 768),
    }  # fmt: skip
    mean = np.mean([shrunk(picture, (16, 16)) for picture in clips.rgb[5]], 0).reshape(-1) / 255
    np.testing.assert_allclose(found["rgb"][5], mean, atol=0.003)
    np.testing.assert_allclose(baseline._means(21).sum(1), 1, atol=1e-6)
    with pytest.raises(InputError, match="not a whole safetensors file"):
        baseline.read(tmp_path, 4)

"""Training learns, repeats itself, and goes on where it stopped."""

import msgspec
import numpy as np
import pytest
import torch

from evpipe.errors import UsageError
from operators.learn import baseline
from operators.learn.evaluation import measure
from operators.learn.training import train
from operators.model_card import read_card, write
from operators.nets.stored import arrays_of


def with_epochs(recipe, epochs: int):
    return msgspec.structs.replace(recipe, schedule=msgspec.structs.replace(recipe.schedule, epochs=epochs))


def machine_free(line):
    """A log line without what tells of the machine."""
    return msgspec.structs.replace(line, seconds=0, samples_per_s=0)


def test_a_toy_problem_is_learned(clips, recipe, model) -> None:
    """Moving bars and stillness, told apart after a few epochs; the stored model answers as the training said."""
    torch.set_num_threads(1)
    schedule = msgspec.structs.replace(recipe.schedule, epochs=5, learning_rate=3e-3)
    recipe = msgspec.structs.replace(recipe, schedule=schedule)
    net, log = train(recipe, clips(24, 1), clips(8, 2))
    assert log[-1].loss < 0.7 * log[0].loss
    best = max(line.validation for line in log)
    assert best > 0.8

    arrays = arrays_of(net) | {"baseline.weight": np.zeros((3, 2048), "f4"), "baseline.bias": np.zeros(3, "f4")}
    write(model, read_card(model), arrays)
    figures = measure(model, read_card(model), clips(8, 2), 1).figures
    assert figures.accuracy == pytest.approx(best, abs=0.05)
    assert figures.windows == sum(map(sum, figures.confusion)) == 24
    assert figures.chance == pytest.approx(1 / 3, abs=1e-4)
    assert figures.accuracy == pytest.approx(sum(row[k] for k, row in enumerate(figures.confusion)) / 24, abs=1e-4)


def test_stillness_is_an_answer(clips, recipe) -> None:
    """Noise alone makes neurons fire for the idle class: its answer is not "none"."""
    net, _ = train(with_epochs(recipe, 3), clips(24, 1), clips(10, 2))
    quiet = [window for window, label in clips(10, 3).windows(1, recipe.input) if label == 0]
    with torch.no_grad():
        rates = net(torch.from_numpy(np.stack(quiet)))
    assert ((rates.argmax(1) == 0) & (rates[:, 0] > 0)).all()


def test_same_seed_same_weights_and_resumed_equals_uninterrupted(clips, recipe, tmp_path) -> None:
    torch.set_num_threads(1)
    data, check = clips(8, 1), clips(4, 2)
    whole, log = train(with_epochs(recipe, 3), data, check, tmp_path / "whole")

    class Stopped(Exception):
        pass

    def stop(line) -> None:
        if line.epoch == 1:
            raise Stopped

    with pytest.raises(Stopped):
        train(with_epochs(recipe, 3), data, check, tmp_path / "cut", say=stop)
    resumed, resumed_log = train(with_epochs(recipe, 3), data, check, tmp_path / "cut", resume=True)
    assert [machine_free(line) for line in resumed_log] == [machine_free(line) for line in log]
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    other, _ = train(msgspec.structs.replace(recipe, seed=1), data, check)
    assert not torch.equal(other.blocks[0].linear.weight, whole.blocks[0].linear.weight)


def test_resume_needs_a_state_of_the_same_recipe(clips, recipe, tmp_path) -> None:
    with pytest.raises(UsageError, match="nothing to resume"):
        train(recipe, clips(4, 1), clips(2, 2), tmp_path, resume=True)
    train(with_epochs(recipe, 1), clips(4, 1), clips(2, 2), tmp_path)
    with pytest.raises(UsageError, match="another recipe"):
        train(msgspec.structs.replace(recipe, seed=5), clips(4, 1), clips(2, 2), tmp_path, resume=True)


def test_few_clips_make_an_epoch_of_many_windows(clips, recipe) -> None:
    """Twelve clips and a batch of 24 train: an epoch draws each clip as often as 240 windows ask for."""
    schedule = msgspec.structs.replace(recipe.schedule, epochs=1, batch=24, windows_per_clip=None)
    _, log = train(msgspec.structs.replace(recipe, schedule=schedule), clips(4, 1), clips(2, 2))
    assert round(log[0].seconds * log[0].samples_per_s) == 240
    once = msgspec.structs.replace(schedule, windows_per_clip=1)
    _, log = train(msgspec.structs.replace(recipe, schedule=once), clips(4, 1), clips(2, 2))
    assert round(log[0].seconds * log[0].samples_per_s) == 12


def test_training_ends_when_validation_no_longer_rises(clips, recipe) -> None:
    schedule = msgspec.structs.replace(recipe.schedule, epochs=9, patience=2, learning_rate=1e-9)
    _, log = train(msgspec.structs.replace(recipe, schedule=schedule), clips(4, 1), clips(2, 2))
    values = [line.validation for line in log]
    assert len(log) == 3 + values.index(max(values))


def test_sixteen_bits_learn_too(clips, recipe) -> None:
    schedule = msgspec.structs.replace(recipe.schedule, epochs=4, learning_rate=3e-3, precision="bfloat16")
    _, log = train(msgspec.structs.replace(recipe, schedule=schedule), clips(24, 1), clips(8, 2))
    assert log[-1].loss < 0.8 * log[0].loss


def test_logistic_regression_separates_what_is_linear() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 20)).astype("f4") * 2
    labels = rng.integers(0, 3, 600)
    features = (centres[labels] + rng.normal(size=(600, 20))).astype("f4")
    fitted = baseline.fit((features[:400], labels[:400]), (features[400:500], labels[400:500]), 3)
    assert (fitted.predict(features[500:]) == labels[500:]).mean() > 0.9

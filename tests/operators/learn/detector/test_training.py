"""A detector learns a toy, repeats itself, and goes on where it stopped or was killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
import torch

from evpipe.errors import UsageError
from operators.detector_network import TINY8_ANCHORS
from operators.learn.detector import training
from operators.learn.detector.training import Epoch, assess, carried_from, kept_of, train
from operators.nets.relu_yolo import ReluYolo

HERE = Path(__file__).resolve().parent


def with_schedule(recipe, **fields):
    return msgspec.structs.replace(recipe, schedule=msgspec.structs.replace(recipe.schedule, **fields))


def machine_free(line):
    """A log line without what tells of the machine."""
    return msgspec.structs.replace(line, seconds=0, samples_per_s=0)


def test_a_toy_problem_is_learned(bin_clips, bin_recipe) -> None:
    """Fixed clips, without changes to them: most boxes are found after 200 updates, in carried states too."""
    torch.set_num_threads(1)
    still = msgspec.structs.replace(bin_recipe.augment, flip=0, shift=0, zoom=(1, 1), keep=(1, 1), noise=0)
    recipe = msgspec.structs.replace(bin_recipe, augment=still)
    recipe = with_schedule(
        recipe, epochs=8, updates=20, batch=8, warm_up=10, learning_rate=8e-3, ema_decay=0.95, ema_ramp=20
    )
    clips = bin_clips(8, 1)
    net, log, best = train(recipe, clips, clips)
    assert log[-1].loss < 0.9 * log[0].loss or log[-1].box < 0.8 * log[0].box
    assert best.burn_in
    assert best.validation > 0.7
    assert 0.02 < best.firing < 0.6
    check = assess(net, recipe, clips, clips.learnable(recipe.sampling), carried=True)
    assert check.ap50 == pytest.approx(best.validation)


def test_same_seed_same_weights_and_resumed_equals_uninterrupted(bin_clips, bin_recipe, tmp_path) -> None:
    """Also over the change from windows at rest to carried states."""
    torch.set_num_threads(1)
    clips, check = bin_clips(6, 1), bin_clips(3, 2)
    whole, log, best = train(bin_recipe, clips, check, tmp_path / "whole")
    assert [line.burn_in for line in log] == [False, False, True]

    class Stopped(Exception):
        pass

    def stop(line) -> None:
        if line.epoch == 1:
            raise Stopped

    with pytest.raises(Stopped):
        train(bin_recipe, clips, check, tmp_path / "cut", say=stop)
    resumed, resumed_log, again = train(bin_recipe, clips, check, tmp_path / "cut", resume=True)
    assert [machine_free(line) for line in resumed_log] == [machine_free(line) for line in log]
    assert machine_free(again) == machine_free(best)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    kept = [(tmp_path / run / "epoch3.safetensors").read_bytes() for run in ("whole", "cut")]
    assert kept[0] == kept[1]
    other, _, _ = train(msgspec.structs.replace(bin_recipe, seed=1), clips, check)
    assert not torch.equal(other.stem.conv.weight, whole.stem.conv.weight)


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
import torch
from conftest import toy_bins, toy_recipe
from operators.learn.detector.training import train
torch.set_num_threads(1)
train(toy_recipe(), toy_bins(6, 1), toy_bins(3, 2), Path(sys.argv[1]), sys.argv[2] == "resume")
"""


def test_a_killed_training_ends_in_the_same_bytes(bin_clips, bin_recipe, tmp_path) -> None:
    """SIGKILL after the first epoch, at whatever it does then."""
    torch.set_num_threads(1)
    train(bin_recipe, bin_clips(6, 1), bin_clips(3, 2), tmp_path / "whole")
    folder = tmp_path / "killed"
    command = [sys.executable, "-c", CHILD.format(here=str(HERE)), str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    child = subprocess.Popen([*command, "fresh"], env=environment)
    try:
        until = time.monotonic() + 120
        while not (folder / "log.json").is_file() and time.monotonic() < until and child.poll() is None:
            time.sleep(0.01)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    subprocess.run([*command, "resume"], env=environment, check=True)
    name = "epoch3.safetensors"
    assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_resume_needs_a_state_of_the_same_recipe(bin_clips, bin_recipe, tmp_path) -> None:
    clips = bin_clips(4, 1)
    short = with_schedule(bin_recipe, epochs=1, updates=1)
    with pytest.raises(UsageError, match="nothing to resume"):
        train(short, clips, clips, tmp_path, resume=True)
    train(short, clips, clips, tmp_path)
    with pytest.raises(UsageError, match="another recipe"):
        train(msgspec.structs.replace(short, seed=5), clips, clips, tmp_path, resume=True)


def test_the_epoch_kept_is_one_with_carried_states(bin_recipe) -> None:
    log = [Epoch(0, 1.0, 0.9), Epoch(1, 1.0, 0.5, burn_in=True), Epoch(2, 1.0, 0.5, burn_in=True)]
    assert kept_of(log).epoch == 2
    assert kept_of(log[:1]).epoch == 0
    assert carried_from(bin_recipe) == 2
    assert carried_from(with_schedule(bin_recipe, burn_in=0.0)) == 3
    assert carried_from(with_schedule(bin_recipe, burn_in=0.001)) == 2
    assert carried_from(with_schedule(bin_recipe, burn_in=1.0)) == 0


def test_sixteen_bits_and_rectifiers_learn_too(bin_clips, bin_recipe) -> None:
    clips = bin_clips(4, 1)
    recipe = with_schedule(bin_recipe, updates=6, precision="bfloat16")
    _, log, _ = train(recipe, clips, clips)
    assert log[-1].box < log[0].box
    network = msgspec.structs.replace(bin_recipe.network, units="relu")
    recipe = msgspec.structs.replace(with_schedule(bin_recipe, updates=6), network=network)
    net, log, _ = train(recipe, clips, clips)
    assert isinstance(net, ReluYolo)
    assert log[-1].box < log[0].box


def test_the_rate_warms_up_and_falls(bin_recipe) -> None:
    recipe = with_schedule(bin_recipe, epochs=2, updates=10, warm_up=5, learning_rate=1.0, final_learning_rate=0.1)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    rates = []
    for update in range(20):
        training._set_rate(optimizer, recipe, update)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert rates == [*rates[:5], *sorted(rates[5:], reverse=True)]
    assert 0.1 < rates[-1] < 0.12


def test_anchors_that_the_recipe_leaves_open_are_fitted(bin_clips, bin_recipe) -> None:
    clips = bin_clips(8, 1)
    found = training.detector_of(bin_recipe, clips).anchors
    assert found is not None
    assert {(round(w), round(h)) for scale in found for w, h in scale} >= {(28, 14), (12, 26)}
    given = msgspec.structs.replace(bin_recipe.network, anchors=TINY8_ANCHORS)
    assert training.detector_of(msgspec.structs.replace(bin_recipe, network=given), clips).anchors == TINY8_ANCHORS

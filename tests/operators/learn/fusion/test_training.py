"""Training of the fusion network learns, repeats itself, and goes on where it stopped."""

import msgspec
import pytest
import torch
from torch import nn

from evpipe.errors import UsageError
from operators.fusion_network import FusionNetwork
from operators.learn.fusion.training import groups, learning_rate, train
from operators.nets.mmhco import Mmhco


def with_schedule(recipe, **changes):
    return msgspec.structs.replace(recipe, schedule=msgspec.structs.replace(recipe.schedule, **changes))


def machine_free(line):
    """A log line without what tells of the machine."""
    return msgspec.structs.replace(line, seconds=0, samples_per_s=0)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def test_a_toy_that_takes_both_modalities_is_learned(pairs, recipe) -> None:
    """Colour and direction together; a network of one modality gets one of them, and guesses the other."""
    recipe = with_schedule(recipe, epochs=5, batch=16, pairs_per_clip=3)
    both = train(recipe, pairs(48, 0), pairs(10, 1)).log
    assert max(line.validation for line in both) > 0.9
    assert both[-1].loss < 0.75 * both[0].loss
    assert set(both[-1].conditions) == {"normal", "dark"}
    assert [sum(block) for block in both[-1].forms] == [120] * 5
    assert "forms " in both[-1].told()
    network = msgspec.structs.replace(recipe.network, modalities="events")
    alone = train(msgspec.structs.replace(recipe, network=network), pairs(48, 0), pairs(10, 1)).log
    assert max(line.validation for line in alone) < 0.75
    assert alone[-1].forms == ()


def test_same_seed_same_weights_and_resumed_equals_uninterrupted(pairs, recipe, tmp_path) -> None:
    recipe, data, check = with_schedule(recipe, epochs=3), pairs(8, 1), pairs(3, 2)
    whole, log = train(recipe, data, check, tmp_path / "whole")

    class Stopped(Exception):
        pass

    def stop(line) -> None:
        if line.epoch == 1:
            raise Stopped

    with pytest.raises(Stopped):
        train(recipe, data, check, tmp_path / "cut", say=stop)
    resumed, resumed_log = train(recipe, data, check, tmp_path / "cut", resume=True)
    assert [machine_free(line) for line in resumed_log] == [machine_free(line) for line in log]
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    other, _ = train(msgspec.structs.replace(recipe, seed=1), data, check)
    assert not torch.equal(other.classifier.weight, whole.classifier.weight)


def test_resume_needs_a_state_of_the_same_recipe(pairs, recipe, tmp_path) -> None:
    recipe = with_schedule(recipe, epochs=1)
    with pytest.raises(UsageError, match="nothing to resume"):
        train(recipe, pairs(4, 1), pairs(2, 2), tmp_path, resume=True)
    train(recipe, pairs(4, 1), pairs(2, 2), tmp_path)
    with pytest.raises(UsageError, match="another recipe"):
        train(msgspec.structs.replace(recipe, seed=5), pairs(4, 1), pairs(2, 2), tmp_path, resume=True)


def test_routers_rest_while_routes_warm_up(pairs, recipe) -> None:
    """Form 0 in all blocks: routers and gates keep their first weights; afterwards they move, and nothing is forced."""
    torch.manual_seed(recipe.seed)
    fresh = Mmhco(recipe.network, 4).state_dict()
    moving = ("router", "gate")
    for share, moved in ((0.99, False), (0.0, True)):
        warming = with_schedule(recipe, epochs=1, batch=4, route_warm_up=share, draws_per_clip=1)
        net, _ = train(warming, pairs(4, 1), pairs(2, 2))
        assert net.route_force is None
        changed = {name: not torch.equal(tensor, fresh[name]) for name, tensor in net.state_dict().items()}
        routing = [changed[name] for name in changed if any(part in name for part in moving)]
        assert any(routing) == moved
        assert changed["classifier.weight"]
    forced = msgspec.structs.replace(recipe, network=msgspec.structs.replace(recipe.network, route_force=2))
    net, log = train(with_schedule(forced, epochs=1), pairs(4, 1), pairs(2, 2))
    assert net.route_force == 2
    assert log[0].forms == ((0, 0, 24),) * 5


def test_even_routes_and_sixteen_bits(pairs, recipe) -> None:
    recipe = with_schedule(recipe, epochs=2, batch=16, pairs_per_clip=3, route_warm_up=0.0)
    for changes in ({"balance": 0.01}, {"precision": "bfloat16"}):
        log = train(with_schedule(recipe, **changes), pairs(24, 0), pairs(4, 1)).log
        assert log[-1].loss < log[0].loss


def test_training_ends_when_validation_no_longer_rises(pairs, recipe) -> None:
    stale = with_schedule(recipe, epochs=9, patience=2, learning_rate=1e-9, final_learning_rate=1e-10)
    _, log = train(stale, pairs(2, 1), pairs(2, 2))
    values = [line.validation for line in log]
    assert len(log) == 3 + values.index(max(values))


def test_nothing_but_linear_maps_and_convolutions_decays() -> None:
    net = Mmhco(FusionNetwork(kind="nano", layer_scale=0.1, fve_mode="chain"), 4)
    decayed, spared = (set(map(id, group["params"])) for group in groups(net, 0.05))
    assert len(decayed) + len(spared) == len(list(net.parameters()))
    for module in net.modules():
        if isinstance(module, (nn.LayerNorm, nn.BatchNorm1d, nn.BatchNorm2d)):
            assert {id(module.weight), id(module.bias)} <= spared
    named = {id(parameter): name for name, parameter in net.named_parameters()}
    assert all(named[which].endswith(".weight") for which in decayed)
    assert not any("tables" in named[which] or "scales" in named[which] for which in decayed)


def test_the_rate_rises_then_falls(recipe) -> None:
    schedule = recipe.schedule
    rates = [learning_rate(schedule, step / 100) for step in range(101)]
    assert max(rates) == rates[10] == pytest.approx(schedule.learning_rate)
    assert rates[0] < 0.1 * rates[10]
    assert rates[100] == pytest.approx(schedule.final_learning_rate)
    assert sorted(rates[:11]) == rates[:11]
    assert sorted(rates[10:], reverse=True) == rates[10:]
    assert learning_rate(msgspec.structs.replace(schedule, warm_up=0.0), 0.0) == schedule.learning_rate

"""`evpipe bench spiking`: figures of every engine, ratios where there is a peer."""

import json
import os

import numpy as np
import pytest

from evpipe.cli.bench import _text
from evpipe.cli.main import main
from operators.bench import spiking as bench
from operators.engines.choice import installed


def test_figures_of_every_engine_and_of_training(monkeypatch, capsys) -> None:
    """As JSON: medians within their spread, the load stated, no ratio without a peer."""
    monkeypatch.setattr(bench, "STEPS_A_TURN", 2)
    monkeypatch.setattr(bench, "BATCH", 2)
    assert main(["bench", "spiking", "--turns", "2", "--threads", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    names = [timing["name"] for timing in found["step"]]
    assert names == [*(f"evpipe {name}" for name in installed()), "torch, the layers without neurons"]
    assert [timing["name"] for timing in found["window"]] == names[:-1]
    assert all(
        0 < timing["p10_ms"] <= timing["median_ms"] <= timing["p90_ms"] for timing in (*found["step"], *found["window"])
    )
    assert [training["name"] for training in found["training"]] == ["evpipe"]
    assert found["training"][0]["median"] > 0
    assert {timing["times_faster"] for timing in found["step"]} == {None}
    assert found["threads"] == 1
    assert len(found["load"]) == 2
    assert all(0.02 < rate < 0.6 for rate in found["firing"])


def test_the_peer_is_asked_for_in_words_when_it_is_missing(monkeypatch) -> None:
    monkeypatch.setattr(bench, "PEER", "no_such_peer")
    monkeypatch.setattr(bench, "STEPS_A_TURN", 1)
    monkeypatch.setattr(bench, "BATCH", 1)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.1, 0.1, 0.1))
    figures = bench.run(1, 1, peers=True)
    assert figures.notes == (
        "no_such_peer is not installed, so there is nothing to compare with: pip install no_such_peer",
    )
    assert figures.notes[0] in _text(figures)


def test_a_busy_machine_is_told(monkeypatch) -> None:
    monkeypatch.setattr(bench, "STEPS_A_TURN", 1)
    monkeypatch.setattr(bench, "BATCH", 1)
    monkeypatch.setattr(os, "getloadavg", lambda: (100.0, 1.0, 1.0))
    assert (
        bench.run(1, 1, peers=False).notes[0].startswith("the machine was busy before the run began (load 100.00 on ")
    )


def test_candidates_take_turns_and_ratios_are_of_one_turn() -> None:
    """Each once a turn, in order; the first turns are not counted."""
    called = []
    times = bench._interleaved({"a": lambda: called.append("a"), "b": lambda: called.append("b")}, 3, lambda done: None)
    assert called == ["a", "b"] * 5
    assert [len(found) for found in times.values()] == [3, 3]
    peer, ours = np.array([2, 30, 4], np.float32), np.array([1, 10, 1], np.float32)
    assert bench._timing("x", ours, peer).times_faster == 3
    assert bench._training("x", ours, None).times_faster is None


@pytest.mark.parametrize("words", [("--threads", "0"), ("--turns", "many")])
def test_numbers_that_count_nothing_are_refused(words, capsys) -> None:
    assert main(["bench", "spiking", *words]) == 2
    assert f"'{words[1]}' is no whole number from 1 on" in capsys.readouterr().err

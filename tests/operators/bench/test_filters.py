"""`evpipe bench filters`: every filter and representation measured, peers asked for in words where they are missing."""

import json

import numpy as np
import pytest

import operators.filters
import operators.representations
from evpipe.cli.bench import _filters_text
from evpipe.cli.main import main
from evpipe.operator import Operator
from operators.bench import filter_peers
from operators.bench import filters as bench


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(bench, "EVENTS", 20_000)
    monkeypatch.setattr(bench, "PACKET_US", 500)


def test_streams_are_sorted_and_inside(few) -> None:
    for bursts in (False, True):
        packets = bench.stream(bursts=bursts)
        assert sum(map(len, packets)) == 20_000
        assert len(packets) > 1
        for packet in packets:
            assert (np.diff(packet.t) >= 0).all()
            assert ((packet.t >= packet.t0_us) & (packet.t < packet.t1_us)).all()
            assert packet.x.max() < bench.WIDTH
            assert packet.y.max() < bench.HEIGHT


def test_every_filter_and_representation_is_measured(few, capsys) -> None:
    assert main(["bench", "filters", "--turns", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    names = [speed["name"] for speed in found["speeds"]]
    assert names == list(bench.operators())
    for module in (operators.filters, operators.representations):
        for name in module.__all__:
            if isinstance(getattr(module, name), type) and issubclass(getattr(module, name), Operator):
                assert any(measured.split(",")[0].split(" ")[0] == name for measured in names), name
    for speed in found["speeds"]:
        assert list(speed["by_stream"]) == ["random pixels", "row bursts"]
        assert all(0 < one["low"] <= one["median"] <= one["high"] for one in speed["by_stream"].values())
        assert speed["times_faster"] == {}
    assert found["notes"] == []


def test_missing_peers_are_asked_for_and_the_table_reads(few, monkeypatch) -> None:
    monkeypatch.setattr(bench, "PEERS", {"no_such_peer": "no-such-peer"})
    figures = bench.run(1, peers=True)
    note = "no-such-peer is not installed, so there is nothing to compare with: pip install no-such-peer"
    assert figures.notes == (note,)
    text = _filters_text(figures)
    assert note in text
    assert "20,000 events at 10 Mev/s of 1280 x 720 px, packets of 0.5 ms" in text
    assert text.count("Polarity") == 1


def test_a_peer_stands_beside_its_rival(few, monkeypatch) -> None:
    """A peer found is measured in the same turns, and the ratio is that of a turn's CPU times."""
    slow = [bench.Candidate(name="json, as Polarity", run=lambda stream: sum(range(200_000)), rival="Polarity")]
    monkeypatch.setattr(bench, "PEERS", {"json": "json"})
    monkeypatch.setattr(filter_peers, "json", lambda streams: (slow, ["json lacks all else"]), raising=False)
    figures = bench.run(2, peers=True)
    (polarity,) = (speed for speed in figures.speeds if speed.name == "Polarity")
    assert polarity.times_faster["json, as Polarity"] > 1
    assert figures.notes == ("json lacks all else",)
    assert "Polarity is " in _filters_text(figures)


def test_peers_take_the_same_events(few) -> None:
    packets = bench.stream(bursts=False)
    events = filter_peers.structured(packets)
    assert len(events) == 20_000
    assert events["t"].tolist() == [t for packet in packets for t in packet.t.tolist()]
    assert set(events["p"].tolist()) == {0, 1}


def test_time_of_a_part_is_scaled_to_all(few, monkeypatch) -> None:
    """A peer that takes a tenth of the events is ten times as slow as it looks."""
    work = lambda stream: sum(range(300_000))  # noqa: E731
    both = [
        bench.Candidate(name=name, run=work, rival="Polarity", share=share) for name, share in (("a", 1.0), ("b", 0.1))
    ]
    monkeypatch.setattr(bench, "PEERS", {"json": "json"})
    monkeypatch.setattr(filter_peers, "json", lambda streams: (both, []), raising=False)
    speeds = {speed.name: speed.by_stream["random pixels"].median for speed in bench.run(3, peers=True).speeds}
    assert 5 < speeds["a"] / speeds["b"] < 20


@pytest.mark.parametrize("peer", bench.PEERS)
def test_installed_peers_run_and_have_rivals(few, peer) -> None:
    """Every candidate of an installed peer names an operator that is measured, and takes the streams."""
    pytest.importorskip(peer)
    streams = {"random pixels": bench.stream(bursts=False)}
    candidates, notes = getattr(filter_peers, peer)(streams)
    assert len(candidates) >= 8
    assert {candidate.rival for candidate in candidates} <= set(bench.operators())
    for candidate in candidates:
        passed = candidate.run(streams["random pixels"])
        assert passed is None or 0 <= passed <= 20_000
    assert all("has no" in note for note in notes)

"""Random graphs give the same bytes inline and over processes, however they are cut into workers."""

from __future__ import annotations

import random

import pytest


def random_graph(seed: int) -> str:
    """One or two sources, up to six operators on random ports, a sink that hears a random half of all ports."""
    chance = random.Random(seed)
    lines, ports = [], []
    for k in range(chance.choice([1, 1, 2])):
        span, packets = chance.choice([(2000, 120), (5000, 60), (7000, 40)])
        with_ = f"{{seed: {seed * 7 + k}, packets: {packets}, span_us: {span}, mean: {chance.choice([0, 50, 900])}}}"
        lines.append(f'  noise{k}: {{use: "{{ops}}:Noise", with: {with_}}}')
        ports += [(f"noise{k}.events", True), (f"noise{k}.frame", False)]
    for k in range(chance.randint(1, 6)):
        source = chance.choice([port for port, events in ports if events])
        kind = chance.choice(["brighter", "halves", "Rate", "Rate"])
        label = chance.choice(["", "", f", worker: {chance.choice('ab')}{k}"])
        lines.append(f'  op{k}: {{use: "{{ops}}:{kind}", in: {source}{label}}}')
        if kind == "halves":
            ports += [(f"op{k}.left", True), (f"op{k}.right", True)]
        else:
            ports.append((f"op{k}.events", True) if kind == "brighter" else (f"op{k}.scores", False))
    heard = [port for port, _ in ports if chance.random() < 0.7] or [ports[0][0]]
    chance.shuffle(heard)
    lines.append(f'  lines: {{use: "{{ops}}:Lines", in: [{", ".join(heard)}], with: {{path: "{{tmp}}/lines.txt"}}}}')
    return "evpipe: 1\nname: random\nclock: fast\nnodes:\n" + "\n".join(lines) + "\n"


def same_bytes(runs, seed: int) -> None:
    yaml = random_graph(seed)
    results = {}
    for how in (["--inline"], ["--workers", str(2 + seed % 4)]):
        ran = runs.run(yaml, *how)
        assert ran.code == 0, f"{yaml}\n{ran.err}"
        ran.check_accounts()
        assert all(edge["dropped"] == edge["in_flight"] == 0 for edge in ran.summary["edges"])
        results[how[0]] = (runs.folder / "lines.txt").read_bytes()
    assert results["--inline"] == results["--workers"], yaml


@pytest.mark.parametrize("seed", range(4))
def test_inline_and_processes_agree(runs, seed):
    """A few graphs at every test run."""
    same_bytes(runs, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4, 40))
def test_inline_and_processes_agree_on_many(runs, seed):
    """Many more on demand."""
    same_bytes(runs, seed)

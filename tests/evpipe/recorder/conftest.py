"""The recorder's tests run graphs of the runtime's test operators."""

from pathlib import Path

import pytest

OPS = Path(__file__).parents[1] / "run" / "ops.py"


@pytest.fixture
def recorded_graph(tmp_path: Path) -> Path:
    """A graph with events, frames and scores, and a recorder beside it."""
    path = tmp_path / "graph.yaml"
    path.write_text(
        f"""
evpipe: 1
name: recorded
clock: fast
nodes:
  noise: {{use: "{OPS}:Noise", with: {{packets: 200}}}}
  rate: {{use: "{OPS}:Rate", in: noise.events}}
""",
        encoding="utf-8",
    )
    return path

"""A folder with a graph file and a user's operators beside it."""

from pathlib import Path

import pytest

GRAPH = """\
evpipe: 1
name: demo
clock: live
nodes:
  camera: {use: ./ops.py:Camera}
  bins:
    use: ./ops.py:Bins
    in: camera.events
    with: {window: 480ms, size: [32, 32]}
  har:
    use: ./ops.py:Classify
    in: bins
    with: {model: ta_snn_sim}
  window:
    use: ./ops.py:Window
    in: {events: camera.events, frame: camera.frame?, tensor: bins, scores: har}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of the test, with graph.yaml and ops.py."""
    (tmp_path / "graph.yaml").write_text(GRAPH)
    (tmp_path / "ops.py").write_bytes(Path(__file__).with_name("example_ops.py").read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path

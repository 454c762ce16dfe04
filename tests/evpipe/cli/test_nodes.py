"""`evpipe nodes` and `evpipe schema`: what is installed, in words and as data."""

import json
import sys
from pathlib import Path

import pytest

from evpipe.cli.main import main
from evpipe.graph import resolve
from evpipe.graph.resolve import installed

OPS = '''\
from typing import Annotated, Literal

from evpipe import Events, Operator, Param, Tensor


class Bins(Operator):
    """Makes tensors.

    More of it.
    """

    def __init__(
        self,
        model: str,
        window_us: Annotated[int, Param(unit="us", min=1, max=9, live=True, help="how long")] = 5,
        keep: Literal["on", "off"] | None = None,
    ) -> None: ...

    def on_events(self, events: Events) -> Tensor | None: ...
'''


def test_the_list_has_the_operators_of_the_main_app(capsys: pytest.CaptureFixture[str]) -> None:
    """Name, inputs, outputs and the first line of the words of each."""
    assert main(["nodes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "in", "out"]
    found = {line.split()[0]: line.split()[1:] for line in lines[1:]}
    assert found["operators.temporal_bin.TemporalBin"][:2] == ["events", "tensor"]
    assert found["operators.ta_snn.Classify"][:2] == ["tensor", "scores"]
    assert found["sensors.replay.Replay"][0] == "source"
    assert found["evpipe.recorder.Recorder"][:2] == ["any", "-"]
    assert "evpipe.view.Window" in found


def test_listing_loads_no_heavy_library() -> None:
    """Operators are read without torch, Qt, cv2 and numba."""
    import subprocess

    code = (
        "import sys\nfrom evpipe.graph.resolve import installed\nfound = installed()\nprint(found.failed)\n"
        "print([m for m in ('torch', 'cv2', 'numba', 'PySide6', 'pyqtgraph') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "{}\n[]\n"


def test_one_operator_by_its_last_name(capsys: pytest.CaptureFixture[str]) -> None:
    """Its ports and parameters, with units and defaults."""
    assert main(["nodes", "TemporalBin"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("operators.temporal_bin.TemporalBin\n")
    assert "  in   events: Events\n" in text
    assert "  out  tensor: Tensor\n" in text
    assert "    window: int (us), at least 1 us, default 480000\n" in text


def test_an_operator_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file beside the graph: ranges, help and live change are told."""
    (tmp_path / "ops.py").write_text(OPS)
    monkeypatch.chdir(tmp_path)
    assert main(["nodes", "./ops.py:Bins"]) == 0
    assert capsys.readouterr().out == (
        "./ops.py:Bins\n  Makes tensors.\n\n  More of it.\n\n  in   events: Events\n  out  tensor: Tensor\n\n  with\n"
        "    model: text, must be given\n"
        "    window: int (us), from 1 to 9 us, default 5, changes live\n      how long\n"
        "    keep: one of 'on', 'off' or null, default null\n"
    )
    assert main(["nodes", "./ops.py:Bins", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["inputs"] == {"events": ["Events"]}
    assert found["parameters"][1] == {
        "name": "window_us",
        "short": "window",
        "type": "int",
        "unit": "us",
        "min": 1,
        "max": 9,
        "required": False,
        "default": 5,
        "live": True,
        "help": "how long",
    }


def test_an_unknown_operator(capsys: pytest.CaptureFixture[str]) -> None:
    """The nearest name is suggested."""
    assert main(["nodes", "TempralBin"]) == 2
    assert "no operator is called 'TempralBin'. did you mean 'TemporalBin'?" in capsys.readouterr().err
    assert main(["nodes", "operators.temporal_bin.Nothing"]) == 2
    assert "has no 'Nothing'" in capsys.readouterr().err


def test_a_module_that_cannot_be_imported_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others are still found."""
    package = tmp_path / "some_nodes"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "good.py").write_text(OPS)
    (package / "bad.py").write_text("import a_vendor_sdk_that_is_missing\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(resolve, "_WALKED", ("some_nodes",))
    found = installed()
    assert "some_nodes.good.Bins" in found.specs
    assert found.failed == {"some_nodes.bad": "ModuleNotFoundError: No module named 'a_vendor_sdk_that_is_missing'"}
    assert main(["nodes"]) == 0
    assert "not importable: some_nodes.bad: ModuleNotFoundError" in capsys.readouterr().out
    assert main(["nodes", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert list(listed["failed"]) == ["some_nodes.bad"]
    assert "some_nodes.good.Bins" in [operator["name"] for operator in listed["operators"]]


def test_the_schema_knows_operators_and_their_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    """An editor can complete `use` and `with`."""
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    node = schema["$defs"]["node"]
    assert "operators.temporal_bin.TemporalBin" in node["properties"]["use"]["anyOf"][0]["enum"]
    rule = next(r for r in node["allOf"] if r["if"]["properties"]["use"]["const"].endswith("TemporalBin"))
    parameters = rule["then"]["properties"]["with"]["properties"]
    assert {"window", "window_us", "hop", "frames", "size"} <= parameters.keys()
    assert parameters["window"]["anyOf"][0] == {"type": "integer", "minimum": 1}
    source = next(r for r in node["allOf"] if r["if"]["properties"]["use"]["const"] == "sensors.auto.Camera")
    assert source["then"]["properties"]["in"] is False

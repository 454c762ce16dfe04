"""`evpipe doctor`: each check says what was found and what to do."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from evpipe.cli import doctor
from evpipe.cli.doctor import QT_LIBRARIES, Check
from evpipe.cli.main import main


def states(checks: Iterator[Check]) -> dict[str, str]:
    return {check.name: check.state for check in checks}


def test_this_machine_can_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the tests run, the dependencies are there; exit code and JSON agree."""
    code = main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    bad = [check["name"] for check in found["checks"] if check["state"] == "bad"]
    assert (code, found["ok"]) == ((1, False) if bad else (0, True))
    assert not set(bad) - {"models"}
    assert all(check["remedy"] for check in found["checks"] if check["state"] != "ok")


def test_the_text_shows_remedies(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A bad check gives exit code 1 and stands with its remedy; -q leaves out what is well."""
    monkeypatch.setattr(doctor, "window", lambda: iter([Check("Qt", "bad", "does not start", "apt install libgl1")]))
    assert main(["doctor", "-q"]) == 1
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "bad Qt does not start" in lines
    assert "-> apt install libgl1" in lines
    assert lines[-1] == "evpipe cannot run here yet: see the lines marked bad"
    assert not any(line.startswith("ok") for line in lines)


def test_qt_that_does_not_start_names_the_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line of the failed import, and what to install."""
    monkeypatch.setattr(doctor, "_TRY_QT", "raise ImportError('libEGL.so.1: cannot open shared object file')")
    check = next(iter(doctor.window()))
    assert check.state == "bad"
    assert "libEGL.so.1" in check.found
    assert check.remedy == f"apt install {' '.join(QT_LIBRARIES)}"


def test_a_display_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one a run goes on headless, which is no fault."""
    monkeypatch.setattr(doctor, "_TRY_QT", "pass")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    assert states(doctor.window()) == {"Qt": "ok", "display": "warn"}
    monkeypatch.setenv("DISPLAY", ":0")
    assert states(doctor.window())["display"] == "ok"


def test_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing package says how to get it, two wheels of OpenCV are warned of."""
    versions = {"opencv-python": "5.0", "opencv-python-headless": "5.0", "numpy": "2.4"}
    monkeypatch.setattr(doctor, "_version", versions.get)
    found = {check.name: check for check in doctor.packages()}
    assert found["numpy"].state == "ok"
    assert (found["torch"].state, found["torch"].remedy) == ("bad", "pip install torch")
    assert found["opencv"].state == "warn"
    assert "pip uninstall opencv-python;" in found["opencv"].remedy


def test_links_work_here() -> None:
    """Memfd and ZeroMQ's ipc."""
    assert states(doctor.links()) == {"shared memory": "ok", "local sockets": "ok"}


def test_a_cache_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled kernels are not kept then: a warning with what to set."""
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    [check] = doctor.storage()
    assert (check.state, "NUMBA_CACHE_DIR" in check.remedy) == ("warn", True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    [check] = doctor.storage()
    assert check.state == "ok"
    os.environ.pop("NUMBA_CACHE_DIR", None)


def test_models_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model folder in the user's data is found."""
    (tmp_path / "evpipe" / "models" / "mine").mkdir(parents=True)
    (tmp_path / "evpipe" / "models" / "mine" / "model.yaml").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    [check] = doctor.models()
    assert check.state == "ok"
    assert "mine" in check.found

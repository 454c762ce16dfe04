"""Whose modules stand under these names: evpipe's, or OpenEB's when it is asked for."""

import os
import subprocess
import sys

import pytest

NAMES = """
from sensors.metavision import EventsIterator, EventCD
from sensors.metavision.event_io import LiveReplayEventsIterator
from sensors.metavision.event_io.raw_reader import RawReader, initiate_device
import sensors.metavision
print(EventsIterator, EventCD, LiveReplayEventsIterator, RawReader, sensors.metavision.event_io.__name__)
"""


def run(code, choice=None, path=None):
    environment = {k: v for k, v in os.environ.items() if k not in ("EVPIPE_METAVISION", "PYTHONPATH")}
    if choice is not None:
        environment["EVPIPE_METAVISION"] = choice
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def openeb(tmp_path):
    """A folder with modules of OpenEB's names, whose members are texts."""
    core = tmp_path / "metavision_core"
    (core / "event_io").mkdir(parents=True)
    (core / "__init__.py").write_text("")
    names = "EventsIterator RawReader RawReaderBase EventDatReader EventNpyReader DatWriter count_events load_events "
    names += "LiveReplayEventsIterator get_raw_info is_live_camera initiate_device"
    members = "".join(f"{name} = 'OpenEB {name}'\n" for name in names.split())
    (core / "event_io" / "__init__.py").write_text(members)
    for module in ("dat_tools", "events_iterator", "live_replay", "py_reader", "raw_reader"):
        (core / "event_io" / f"{module}.py").write_text(members)
    (tmp_path / "metavision_sdk_base.py").write_text("EventCD = 'OpenEB EventCD'\nEventExtTrigger = ''\n")
    return tmp_path


@pytest.mark.parametrize("choice", [None, "", "evpipe"])
def test_evpipe_s_own_stand_by_default_even_where_openeb_is(openeb, choice) -> None:
    done = run(NAMES, choice, openeb)
    assert done.returncode == 0, done.stderr
    assert "OpenEB" not in done.stdout
    assert "sensors.metavision.event_io" in done.stdout


def test_asked_for_all_names_are_openeb_s(openeb) -> None:
    done = run(NAMES, "openeb", openeb)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("OpenEB ")[1:] == [
        "EventsIterator ",
        "EventCD ",
        "LiveReplayEventsIterator ",
        "RawReader metavision_core.event_io\n",
    ]


def test_a_part_that_openeb_lacks_is_not_ours_then(openeb) -> None:
    done = run("import sensors.metavision\nfrom sensors.metavision.sdk_ui import Window", "openeb", openeb)
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr


def test_without_openeb_it_says_what_to_do() -> None:
    done = run(NAMES, "openeb")
    assert done.returncode == 1
    assert "EVPIPE_METAVISION=openeb asks for OpenEB, but metavision_sdk_base cannot be imported" in done.stderr
    done = run(NAMES, "metavision")
    assert "ImportError: EVPIPE_METAVISION is 'metavision'; it takes openeb" in done.stderr


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = {"torch", "cv2", "numba", "PySide6", "h5py"}
    code = f"import sys, sensors.metavision.sdk_core, sensors.metavision.sdk_ui; print({heavy} & sys.modules.keys())"
    assert run(code).stdout == "set()\n"

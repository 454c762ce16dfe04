"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real recordings: EVPIPE_SHARED, else ../shared beside the checkout; without it the test skips."""
    folder = Path(os.environ.get("EVPIPE_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"needs the real recordings: no {folder}/data; set EVPIPE_SHARED to the folder that holds data/")
    return folder

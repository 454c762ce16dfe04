"""Which format is written: by name, by ending, and in words for neither."""

import subprocess
import sys

import pytest

from evpipe.errors import UsageError
from sensors.writers.choose import FORMATS, format_of, open_writer


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.raw", "evt3"),
        ("a.dat", "dat"),
        ("a.h5", "hdf5"),
        ("a.hdf5", "hdf5"),
        ("a.AEDAT4", "aedat4"),
        ("a.es", "es"),
        ("a.mcap", "mcap"),
        ("a.npz", "npz"),
        ("a.csv", "csv"),
        ("a.txt", "csv"),
    ],
)
def test_the_ending_says_the_format(path, name):
    assert format_of(path) == name
    assert format_of(path, "evt2") == "evt2"


def test_what_is_not_known_is_said_with_what_is(tmp_path):
    with pytest.raises(UsageError, match=r"'.xyz' names no format.*\.raw"):
        format_of("a.xyz")
    with pytest.raises(UsageError, match="no ending"):
        format_of("a")
    with pytest.raises(UsageError, match="Did you mean aedat4"):
        open_writer(tmp_path / "a", width=1, height=1, format="aedat")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_names_what_is_there(name, tmp_path):
    """Its ending leads back to its family, and it says which streams it takes."""
    with open_writer(tmp_path / "a", width=64, height=48, format=name) as writer:
        assert "events" in writer.takes
        assert writer.paths == [str(tmp_path / "a")]
    assert format_of(f"a{FORMATS[name].suffix}").split("-")[0][:3] == name[:3]


def test_choosing_loads_nothing_heavy():
    code = "import sys, sensors.writers.choose; print(sorted({'numba', 'h5py', 'mcap', 'cv2'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"

"""What a name means, and where time begins: the shifts that OpenEB's decoders were seen to make."""

import warnings

import numpy as np
import pytest

from sensors.formats.detect import open_reader
from sensors.metavision import EventsIterator
from sensors.metavision.feed import RecordingWarning
from sensors.metavision.recording import open_recording, shift_of

HEAD = {
    "EVT2": (4, ""),
    "EVT3": (2, ""),
    "EVT4": (4, ""),
    "EVT21": (8, ";endianness=little"),
    "EVT21-legacy": (8, ";endianness=legacy"),
}


def words(form: str, text: str) -> bytes:
    size, options = HEAD[form]
    data = b""
    for word in text.split():
        one = int(word, 16).to_bytes(size, "little")
        data += one[4:] + one[:4] if form.endswith("legacy") else one
    name = form.removesuffix("-legacy")
    return f"% format {name};height=720;width=1280{options}\n% end\n".encode() + data


@pytest.mark.parametrize(
    ("form", "text", "shifted", "triggers"),
    [
        ("EVT2", "80000010 11432032 01A7FACF 80000011 10000000 A0C00001 0FD40168", [5, 6, 64, 127], [67]),
        ("EVT3", "8FFF 6FFF 0001 2801 8000 6000 0002 2002 8001 6001 0003 2803", [8191, 8192, 12289], []),
        ("EVT3", "8000 6005 0001 2801 A101", [5], [5]),
        ("EVT4", "EFFFFFFF BFC00802 E0000000 A0401804", [63, 65], []),
        ("EVT4", "C0000000 E0000055 E0000010 B1432032 90C00103", [5], [3]),
        ("EVT21", "8FFFFFFF00000000 1FC1000200000001 8000000000000000 0042000400000002", [63, 65], []),
        ("EVT21-legacy", "8FFFFFFF00000000 1FC1000200000001 8000000000000000 0042000400000002", [63, 65], []),
    ],
)
def test_raw_times_are_shifted_as_openeb_does(tmp_path, form, text, shifted, triggers) -> None:
    """By the first TIME_HIGH, of EVT3 by the one before it; a mask of EVT4 that looks like one is none."""
    path = tmp_path / "a.raw"
    path.write_bytes(words(form, text))
    iterator = EventsIterator(str(path), mode="n_events")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecordingWarning)
        assert np.concatenate(list(iterator))["t"].tolist() == shifted
    assert iterator.get_ext_trigger_events()["t"].tolist() == triggers


def test_without_shift_times_are_as_stored(raw) -> None:
    path = raw([10_000, 10_001])
    stored = list(EventsIterator(path, mode="n_events", do_time_shifting=False))
    assert stored[0]["t"].tolist() == [10_000, 10_001]
    assert next(iter(EventsIterator(path, mode="n_events")))["t"].tolist() == [16, 17]


def test_a_time_high_far_from_the_start_is_found(tmp_path) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(words("EVT2", "10000000 " * 40_000 + "80000010 11432032"))
    reader = open_recording(str(path))
    assert shift_of(reader) == 1024
    reader.close()
    path.write_bytes(words("EVT2", "10000000 " * 5))
    reader = open_recording(str(path))
    assert shift_of(reader) == 0
    reader.close()


def test_the_vendor_s_dat_is_the_shifted_evt3_recording(shared) -> None:
    """evt3.raw and gen4.dat are one recording: the shift of 11194368 us is found, all columns are equal."""
    folder = shared / "data/faery_sdist"
    a = np.concatenate(list(EventsIterator(str(folder / "evt3.raw"))))
    b = np.concatenate(list(EventsIterator(str(folder / "gen4.dat"))))
    assert len(a) == 1218618
    assert all((a[name] == b[name]).all() for name in "xypt")


def test_other_formats_begin_at_their_first_event_and_prophesee_s_hdf5_is_as_stored(shared) -> None:
    data = shared / "data"
    for name, first in (
        ("faery_sdist/davis346.aedat4", 0),
        ("dvs128_actions/neal_walking.aedat", 0),
        ("transcoded/davis346_dsec_layout.h5", 0),
        ("transcoded/evt2_metavision_layout.hdf5", 913716224),
    ):
        for events in EventsIterator(str(data / name), mode="n_events", n_events=10):
            assert events["t"][0] == first
            break


def test_pictures_are_upright(shared) -> None:
    """DVS128 stores them mirrored and upside down."""
    path = str(shared / "data/dvs128_actions/neal_walking.aedat")
    reader = open_reader(path)
    stored = next(reader.chunks())
    x, y = stored.x[:10].astype(int), stored.y[:10].astype(int)
    reader.close()
    events = next(iter(EventsIterator(path, mode="n_events", n_events=10)))
    assert (events["x"] == 127 - x).all()
    assert (events["y"] == 127 - y).all()


def test_a_name_is_a_file_s_or_a_camera_s(tmp_path) -> None:
    for name in ("no.raw", "no.RAW", "no.dat", "no.aedat4", "folder/x", str(tmp_path / "x")):
        with pytest.raises(FileNotFoundError, match="no such file"):
            open_recording(name)
    with pytest.raises(OSError, match="Failed to open camera 0123 !") as raised:
        open_recording("0123")
    assert not isinstance(raised.value, FileNotFoundError)
    with pytest.raises(OSError, match="is a folder"):
        open_recording(str(tmp_path))
    (tmp_path / "g.es").write_bytes(b"Event Stream\x02\x00\x00\x00\x00\x06ab")
    with pytest.raises(OSError, match="timed bytes without pixels"):
        open_recording(str(tmp_path / "g.es"))

"""`evpipe info`: figures and digests of recordings, damage, exit codes."""

import argparse
import json

import numpy as np
import pytest

from evpipe.cli import info
from evpipe.cli.main import main
from sensors.writers.aedat4 import Aedat4Writer


def run(capsys, *words):
    """(exit code, objects on stdout, stderr) of `evpipe info --json`."""
    code = main(["info", "--json", *map(str, words)])
    out, err = capsys.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], err


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "a.aedat4"
    with Aedat4Writer(path, 20, 10) as writer:
        t = np.arange(100, dtype=np.int64) * 1000
        writer.frame(1, 5, np.zeros((10, 20), np.uint8))
        for part in np.split(t, 20):
            x = (part % 20).astype(np.uint16)
            writer.events(part, x, x // 2, (part // 1000 % 2).astype(np.uint8))
    return path


def test_every_recording_equals_what_other_readers_agree_on(shared, capsys):
    """All figures and digests of the conformance list, in one call with a line for each file."""
    lines = (shared / "data/conformance/expected.jsonl").read_text().splitlines()
    expected = [json.loads(line) for line in lines]
    families = ("EVT2", "EVT3", "AEDAT2", "AEDAT4", "ES")
    expected = [e for e in expected if e["format"].split("-")[0] in families]
    code, found, err = run(capsys, *(shared / "data" / e["path"] for e in expected))
    assert (code, err, len(found)) == (0, "", len(expected))
    keys = ("format", "width", "height", "n_events", "n_on", "t_first_us", "t_last_us", "monotonic", "digest")
    for want, got in zip(expected, found, strict=True):
        assert {key: got[key] for key in keys} == {key: want[key] for key in keys}, want["path"]
        assert (got["path"], got["damage"]) == (str(shared / "data" / want["path"]), [])
        assert got["bytes"] == (shared / "data" / want["path"]).stat().st_size
        side = want.get("side_streams", {})
        assert [got[name] for name in ("frames", "imu", "triggers")] == [
            side.get(name, {}).get("n", 0) for name in ("frames", "imu", "triggers")
        ]
        mirrored = want.get("alt_digest", {})
        assert ("digest_shown" in got) == (want["format"] in ("AEDAT2", "ES-DVS", "ES-COLOR"))
        for axis in "xy":
            if f"{axis}_mirrored" in mirrored:
                assert got["digest_shown"][axis] == mirrored[f"{axis}_mirrored"]


def test_figures_of_a_small_file(recording, capsys):
    code, (found,), _ = run(capsys, recording)
    assert code == 0
    assert (found["n_events"], found["n_on"], found["duration_s"], found["frames"]) == (100, 50, 0.099, 1)
    assert found["rate_ev_s"] == pytest.approx(100 / 0.099)


def test_damage_is_told_and_what_was_read_still_counted(recording, tmp_path, capsys):
    """Exit code 3 if any file is damaged or missing; the others are reported all the same."""
    cut = tmp_path / "cut.aedat4"
    cut.write_bytes(recording.read_bytes()[:-600])
    code, found, err = run(capsys, cut, tmp_path / "none.raw", recording)
    assert code == 3
    assert 0 < found[0]["n_events"] < 100
    assert found[0]["damage"][0]["offset"] > 4000
    assert found[1]["format"] is None
    assert found[2]["damage"] == []
    assert str(cut) in err
    assert "no such file" in err


def test_text_for_people(recording, capsys):
    assert main(["info", str(recording)]) == 0
    out = capsys.readouterr().out
    assert "AEDAT4, 20 x 10 pixels" in out
    assert "100 (50 brighter)" in out
    assert "\x1b" not in out


def test_size_and_encoding_for_raw_bytes(tmp_path, capsys):
    """A file without a header is read when both are given; a size that is none is a mistake of the command."""
    path = tmp_path / "a.raw"
    path.write_bytes(bytes.fromhex("018001603200052805280180"))
    assert run(capsys, path)[0] == 3
    code, (found,), _ = run(capsys, path, "--size", "720x1280", "--encoding", "evt3")
    assert (code, found["n_events"], found["width"], found["height"]) == (0, 2, 1280, 720)
    assert main(["info", str(path), "--size", "big"]) == 2


def test_nothing_heavy_is_imported_to_read_the_arguments():
    parser = argparse.ArgumentParser()
    info.add_arguments(parser)
    assert parser.parse_args(["a", "b"]).files == ["a", "b"]

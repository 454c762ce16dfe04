"""`evpipe convert`: lines and objects printed, exit codes, several files at a time, and being stopped."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from evpipe.cli import convert
from evpipe.errors import UsageError
from sensors.formats.detect import open_reader
from sensors.formats.reader import EventChunk, FrameChunk
from sensors.writers.choose import FORMATS, open_writer


def parse(*words):
    parser = argparse.ArgumentParser()
    convert.add_arguments(parser)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("-q", "--quiet", action="store_true")
    return parser.parse_args([str(word) for word in words])


def run(capsys, *words):
    """(exit code, stdout, stderr) of the command."""
    code = convert.run(parse(*words))
    out, err = capsys.readouterr()
    return code, out, err


def write(path, n=1000, width=64, height=48, step=1000):
    with open_writer(path, width=width, height=height) as writer:
        for begin in range(0, n, 2**20):
            t = np.arange(begin, min(n, begin + 2**20), dtype=np.int64)
            columns = (t % width).astype(np.uint16), (t % height).astype(np.uint16), (t & 1).astype(np.uint8)
            writer.events(EventChunk(t * step, *columns))
    return path


def times(path):
    reader = open_reader(str(path))
    t = np.concatenate([chunk.t.copy() for chunk in reader.chunks(frozenset({"events"}))] or [np.empty(0, np.int64)])
    reader.close()
    return t


def test_one_line_tells_it(tmp_path, capsys):
    """Where it went, events, size, time, speed, and what was left out."""
    source = tmp_path / "a.aedat4"
    with open_writer(source, width=64, height=48) as writer:
        writer.events(EventChunk(*(np.zeros(5, kind) for kind in (np.int64, np.uint16, np.uint16, np.uint8))))
        writer.frame(FrameChunk(0, 0, 5, np.zeros((48, 64), np.uint8)))
    code, out, err = run(capsys, source, tmp_path / "b.raw")
    assert (code, err) == (0, "")
    assert out.startswith(f"{source} -> {tmp_path}/b.raw: 5 events, 0.0 MB, ")
    assert "Mev/s; 1 frames left out: evt3 holds none\n" in out
    assert out.count("\n") == 1
    assert run(capsys, source, tmp_path / "b.raw", "--overwrite", "-q") == (0, "", "")


def test_json_has_an_object_for_each_file(tmp_path, capsys):
    code, out, _ = run(capsys, write(tmp_path / "a.raw"), tmp_path / "b.csv", "--json")
    found = json.loads(out)
    assert (code, found["in"], found["out"]) == (0, str(tmp_path / "a.raw"), [str(tmp_path / "b.csv")])
    assert (found["format"], found["events"], found["frame"], found["triggers"]) == ("csv", 1000, 0, 0)
    assert (found["t_first_us"], found["t_last_us"], found["error"], found["damage"]) == (0, 999_000, None, [])
    assert found["bytes"] == (tmp_path / "b.csv").stat().st_size
    assert found["mev_s"] >= 0  # rounded: a busy machine is slow
    assert list(found["notes"].values()) == [1]


@pytest.mark.parametrize(
    ("words", "first", "last"),
    [
        (["--from", "100ms"], 100_000, 999_000),
        (["--to", "0.5s"], 0, 499_000),
        (["--from", "@250000", "--to", "@251000"], 250_000, 250_000),
    ],
)
def test_a_span_in_words(words, first, last, tmp_path, capsys):
    assert run(capsys, write(tmp_path / "a.raw"), tmp_path / "b.dat", *words)[0] == 0
    t = times(tmp_path / "b.dat")
    assert (t[0], t[-1]) == (first, last)


def test_options_may_stand_between_in_and_out(tmp_path, capsys):
    assert run(capsys, write(tmp_path / "a.raw"), "--format", "evt2", tmp_path / "b.raw")[0] == 0
    assert b"EVT2;" in (tmp_path / "b.raw").read_bytes()[:60]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "2s", "--to", "1s"], "--to 1s must be later"),
        (["--from", "@x"], "microseconds"),
        (["--only", "events,sound"], "no stream 'sound'"),
        (["--jobs", "0"], "1 or more"),
        (["--format", "evt9"], "no format 'evt9'"),
        (["--size", "big"], "rows x columns"),
    ],
)
def test_mistakes_are_said_before_anything_is_written(words, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        convert.run(parse(write(tmp_path / "a.raw"), tmp_path / "b.raw", *words))
    assert not (tmp_path / "b.raw").exists()


def test_bytes_without_a_header_need_size_and_encoding(tmp_path, capsys):
    (tmp_path / "a.raw").write_bytes(bytes.fromhex("018001603200052805280180"))
    words = tmp_path / "a.raw", tmp_path / "b.npz"
    code, out, err = run(capsys, *words)
    assert (code, out) == (3, "")
    assert "without the header" in err
    assert run(capsys, *words, "--size", "720x1280", "--encoding", "evt3")[0] == 0
    assert len(times(tmp_path / "b.npz")) == 2


@pytest.mark.parametrize("jobs", [1, 2])
def test_several_into_a_folder(jobs, tmp_path, capsys):
    """Good ones are converted whatever the others are; the exit code is the worst."""
    sources = [write(tmp_path / f"{name}.raw", 1000 + k) for k, name in enumerate("abc")]
    cut = tmp_path / "cut.raw"
    cut.write_bytes(sources[0].read_bytes()[:-1])
    words = [*sources, cut, tmp_path / "none.raw", tmp_path / "out", "--format", "aedat4", "--json", "--jobs", jobs]
    code, out, err = run(capsys, *words)
    assert code == 3
    found = {os.path.basename(one["in"]): one for one in map(json.loads, out.splitlines())}
    assert {name: one["events"] for name, one in found.items()} == {
        "a.raw": 1000,
        "b.raw": 1001,
        "c.raw": 1002,
        "cut.raw": found["cut.raw"]["events"],
        "none.raw": 0,
    }
    assert 990 <= found["cut.raw"]["events"] <= 1000
    assert "The good part was converted" in err
    assert "no such file" in found["none.raw"]["error"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a.aedat4",
        "b.aedat4",
        "c.aedat4",
        "cut.aedat4",
    ]


COMMAND = """
import argparse, sys
from evpipe.cli import convert
if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    convert.add_arguments(parser)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("-q", "--quiet", action="store_true")
    sys.exit(convert.run(parser.parse_args()))
"""


@pytest.fixture
def start(tmp_path):
    """A function that starts the command as a process."""
    (tmp_path / "command.py").write_text(COMMAND)
    started = []

    def begin(*words):
        command = [sys.executable, tmp_path / "command.py", *map(str, words)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_halfway_nothing_is_left(number, expected, jobs, start, tmp_path):
    """Ctrl-C and SIGTERM: the folder is empty, the exit code tells, Ctrl-C says a sentence."""
    source = write(tmp_path / "a.raw", 6_000_000, step=1)
    os.link(source, tmp_path / "b.raw")
    out = tmp_path / "out"
    process = start(source, tmp_path / "b.raw", out, "--format", "hdf5-gzip", "--jobs", jobs)
    until = time.monotonic() + 60
    while not any(path.stat().st_size > 10_000 for path in out.glob(".*/*")):
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == expected, said
    assert list(out.iterdir()) == []
    assert "Traceback" not in said
    if number == signal.SIGINT:
        assert "stopped; 0 of 2 recordings are converted" in said


def test_the_help_names_every_format():
    parser = argparse.ArgumentParser()
    convert.add_arguments(parser)
    text = " ".join(parser.format_help().split())
    assert all(f"{name}," in text or f"{name} " in text for name in FORMATS)


def test_nothing_heavy_is_imported_to_read_the_arguments():
    code = (
        "import argparse, sys; from evpipe.cli import convert; convert.add_arguments(argparse.ArgumentParser());"
        "print(sorted({'torch', 'numba', 'numpy', 'cv2', 'PySide6'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_the_largest_recordings_convert_exactly(shared, tmp_path, capsys):
    """EVT3 of a camera to every format: the digests of the source, but for the shift of times."""
    from evpipe.cli.info import inspect

    source = shared / "data/faery_sdist/evt3.raw"
    wanted = inspect(str(source))
    for name, entry in FORMATS.items():
        path = tmp_path / f"{name}{entry.suffix}"
        code, out, _ = run(capsys, source, path, "--format", name, "--json")
        assert code == 0
        found = inspect(str(path))
        digest = found.get("digest_shown", found["digest"])
        assert digest == wanted["digest"], name
        assert json.loads(out)["events"] == found["n_events"] == wanted["n_events"]

"""`evpipe recover`, as it is called: what it prints, what it writes, how it ends."""

from __future__ import annotations

import argparse
import json

import numpy as np
import pytest

from evpipe.cli import recover
from evpipe.packets import Events
from evpipe.recorder.session_writer import SessionWriter


@pytest.fixture
def session(tmp_path):
    writer = SessionWriter(tmp_path / "a")
    for k in range(300):
        t = np.arange(20) + k * 10_000
        column = (t % 50).astype(np.uint16)
        writer.packet(Events(t0_us=k * 10_000, t1_us=(k + 1) * 10_000, seq=k, t=t, x=column, y=column,
                             p=(t % 2).astype(np.uint8), width=64, height=48), "camera.events")  # fmt: skip
    writer.close()
    return tmp_path / "a.mcap"


def run(capsys, *words):
    """(exit code, stdout, stderr) of the command."""
    parser = argparse.ArgumentParser()
    recover.add_arguments(parser)
    parser.add_argument("--json", action="store_true")
    code = recover.run(parser.parse_args([str(word) for word in words]))
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_whole_file_ends_with_0(session, capsys):
    """The result stands beside it; the count, the span, and that nothing was lost."""
    code, out, err = run(capsys, session)
    whole = session.with_name("a.recovered.mcap")
    assert (code, err) == (0, "")
    assert out == (f"{whole}: 300 messages in 7 chunks, 10000 to 3000000 us\nlost: nothing; the file was whole\n")
    assert whole.read_bytes() == session.read_bytes()


def test_a_cut_file_ends_with_3_and_counts(session, tmp_path, capsys):
    """The byte and the loss on stderr, the figures on stdout; --json gives one object."""
    data = session.read_bytes()
    session.write_bytes(data[: len(data) // 2])
    code, out, err = run(capsys, session, tmp_path / "out.mcap")
    assert code == 3
    assert err.startswith(f"{session}: byte ")
    assert "the file ends inside a record" in err
    assert "lost: " in out
    assert "the file has no mark of its end" in out
    code, out, _ = run(capsys, session, tmp_path / "out.mcap", "--force", "--json")
    found = json.loads(out)
    assert code == 3
    assert (found["whole"], found["missing_end"], found["out"]) == (False, True, str(tmp_path / "out.mcap"))
    assert 0 < found["messages"] < 300
    assert found["lost_bytes"] > 0
    assert found["last_us"] < 3_000_000
    assert found["damage"][0]["offset"] > 0

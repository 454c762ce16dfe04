"""`evpipe batch` on real recordings: the same files for any number of workers and after any kill; failures isolated."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil

from .conftest import Batch


def workers(pid: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(pid).children() if "evpipe.batch.worker" in child.cmdline()]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def wait_for(condition, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.01)


def test_a_damaged_file_is_told_and_the_rest_is_complete_for_any_number_of_workers(batch: Batch, data: Path) -> None:
    """Exit code 7, tables of all, failures first, equal bytes; an operator that forgets is opened once a worker."""
    said = batch("data", "--out", "one", "--jobs", "1", "--set", f"rate.opened={data}/opened", code=7).stderr
    assert "passed over, for they end like no recording: 1 .tsv" in said
    assert "left out of the graph: window, recorder" in said
    assert said.count("s  data/cut.aedat: damaged") == 2
    assert (data / "opened").read_text() == "x"
    (data / "opened").unlink()
    batch("data", "--out", "two", "--jobs", "3", "--set", f"rate.opened={data}/opened", code=7)
    assert (data / "opened").read_text() in ("x", "xx", "xxx")
    assert batch.files("one") == batch.files("two")

    summary = json.loads((batch.folder / "one" / "summary.json").read_text())
    assert [record["status"] for record in summary["recordings"]] == ["damaged"] + ["ok"] * 7
    first = summary["recordings"][0]
    assert first["name"] == "data/cut.aedat"
    assert first["path"] == "data/cut.aedat"
    assert "damaged at byte" in first["message"]
    assert summary["totals"]["events"] == sum(record["events"] for record in summary["recordings"])
    rows = table(batch.folder / "one" / "summary.csv")
    assert [row["status"] for row in rows] == ["damaged"] + ["ok"] * 7
    page = (batch.folder / "one" / "report.html").read_text()
    assert page.index("damaged at byte") < page.index("data/digits/1.bin")
    run = json.loads((batch.folder / "one" / "run.json").read_text())
    assert run["recordings"]["data/cut.aedat"]["attempts"] == 2
    assert run["recordings"]["data/digits/1.bin"]["attempts"] == 1


def test_a_table_has_a_row_for_each_score_and_box_and_nothing_of_the_recording_before(batch: Batch, data: Path) -> None:
    """Operators begin afresh with each recording, those that cannot forget too."""
    batch("data/digits", "--out", "out", "--jobs", "1")
    for name in ("1", "102"):
        rows = table(batch.folder / f"out/tables/digits/{name}.bin.csv")
        scores = [row for row in rows if row["node"] == "rate"]
        boxes = [row for row in rows if row["node"] == "boxes"]
        assert [row["label"] for row in scores[:2]] == ["on", "packets, so far"]
        assert [float(row["score"]) for row in scores[1::2]] == list(range(1, len(scores) // 2 + 1))
        assert [float(row["x"]) for row in boxes] == list(range(1, len(boxes) + 1))
        assert boxes[0]["score"] == "0.14285715"
        assert scores[0]["x"] == ""


def test_finished_recordings_are_skipped_by_their_content(batch: Batch, data: Path) -> None:
    """A second call does nothing; another file, parameter, operator or model is done anew; --again redoes all."""
    (batch.folder / "model").mkdir()
    (batch.folder / "model" / "model.yaml").write_text("first")
    words = ("data/digits", "--out", "out", "--jobs", "1", "--json", "--set", "rate.model=model")
    assert json.loads(batch(*words).stdout)["skipped"] == 0
    before = batch.files("out")
    assert json.loads(batch(*words).stdout)["skipped"] == 6
    assert json.loads(batch(*words, "--again").stdout)["skipped"] == 0
    assert batch.files("out") == before
    (data / "digits/1.bin").unlink()
    (data / "digits/1.bin").write_bytes((data / "digits/2.bin").read_bytes())
    (batch.folder / "out/tables/digits/3.bin.csv").write_text("cut")
    done = json.loads(batch(*words).stdout)
    assert (done["skipped"], done["replaced"]) == (4, 1)
    assert batch.files("out")["tables/digits/3.bin.csv"] == before["tables/digits/3.bin.csv"]
    (batch.folder / "model" / "model.yaml").write_text("second")
    assert json.loads(batch(*words).stdout)["replaced"] == 6
    with (batch.folder / "ops.py").open("a") as file:
        file.write("\n# another version\n")
    assert json.loads(batch(*words).stdout)["replaced"] == 6


def test_a_failing_operator_leaves_no_table_and_the_others_theirs(batch: Batch, data: Path) -> None:
    """The message names node, packet and line; an older table of that name goes."""
    batch("data/whole.es", "data/digits/1.bin", "--out", "out", "--jobs", "1")
    with (batch.folder / "ops.py").open("a") as file:
        file.write("\nBroken.on_gap = lambda self, gap: None\n")
        file.write(
            "def fails(self, events: Events) -> Scores | None:\n    assert events.width == 34, 'not this sensor'\n"
        )
        file.write("Broken.on_events = fails\n")
    said = batch("data/whole.es", "data/digits/1.bin", "--out", "out", "--jobs", "1", code=7).stderr
    assert "node 'broken', events, packet 0" in said
    assert "not this sensor" in said
    assert not (batch.folder / "out/tables/data/whole.es.csv").exists()
    assert (batch.folder / "out/tables/digits/1.bin.csv").exists()
    assert json.loads((batch.folder / "out/summary.json").read_text())["totals"]["failed"] == 1


def test_a_worker_that_dies_costs_one_attempt(batch: Batch, data: Path) -> None:
    """The recording is given to a new worker, and the results are as ever."""
    words = ("data/digits", "--jobs", "2")
    said = batch(*words, "--out", "out", "--set", f"rate.die={data}/died").stderr
    assert "its worker was killed by SIGKILL" in said
    batch(*words, "--out", "calm", "--set", f"rate.die={data}/died")
    assert batch.files("out") == batch.files("calm")


def test_stopped_in_the_middle_and_called_again(batch: Batch, data: Path) -> None:
    """By SIGKILL, Ctrl-C or SIGTERM: no worker outlives a call, and the last ends with an undisturbed one's files."""
    for k in range(90):
        (data / "digits" / f"copy{k}.bin").write_bytes((data / "digits/1.bin").read_bytes())
    words = ("data/digits", "--jobs", "2")
    batch(*words, "--out", "calm")
    records = batch.folder / "out/records/digits"
    there = 0
    for number, code in ((signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 143)):
        process = subprocess.Popen(
            batch.command(*words, "--out", "out"), cwd=batch.folder, stderr=subprocess.PIPE, text=True
        )
        wait_for(lambda: records.is_dir() and len(os.listdir(records)) >= there + 3)  # noqa: B023
        own = workers(process.pid)
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
        assert process.returncode == code, said
        assert "Traceback" not in said
        wait_for(lambda: not any(w.is_running() and w.status() != psutil.STATUS_ZOMBIE for w in own), 3)  # noqa: B023
        there = len(os.listdir(records))
        assert 3 <= there < 96
    done = json.loads(batch(*words, "--out", "out", "--json").stdout)
    assert done["skipped"] >= there - 2  # a record may have been written the moment its table was not
    assert batch.files("out") == batch.files("calm")


def test_what_cannot_be_is_said_before_anything_starts(batch: Batch, data: Path) -> None:
    """Wrong paths, folders, graphs and engines, each with what to do."""
    assert "names no file" in batch("nowhere/*.raw", "--out", "out", code=3).stderr
    assert "holds no batch" in batch("data", "--out", "data", code=2).stderr
    assert "--jobs 0" in batch("data", "--out", "out", "--jobs", "0", code=2).stderr
    assert "needs --engine ray" in batch("data", "--out", "out", "--address", "auto", code=2).stderr
    batch.graph.write_text("evpipe: 1\nnodes:\n  camera: {use: sensors.auto.Camera}\n")
    assert "gives scores or boxes" in batch("data", "--out", "out", code=2).stderr
    assert not (batch.folder / "out").exists()

"""Names of recordings, the table's cells, retries: the parts of a batch by themselves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evpipe.batch.folder import taken
from evpipe.batch.record import Record
from evpipe.batch.recordings import Recording, find
from evpipe.batch.report import report
from evpipe.batch.runner import Reply
from evpipe.batch.schedule import Tally, go_through
from evpipe.batch.table import Csv, arrow_modules
from evpipe.errors import InputError, UsageError


def test_names_come_from_the_arguments(tmp_path: Path) -> None:
    """A folder's files by their path in it, others by their last two parts; a file named twice counts once."""
    for name in ("a/x/1.bin", "a/x/2.RAW", "a/notes.txt", "b/x/1.bin"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"12")
    found = find([str(tmp_path / "a"), str(tmp_path / "*/x/1.bin")])
    assert [r.name for r in found.recordings] == ["a/x/1.bin", "a/x/2.RAW", "x/1.bin"]
    assert found.others == {".txt": 1}
    twice = find([str(tmp_path / "a/x/1.bin"), str(tmp_path / "b/x/1.bin")])
    assert [r.name for r in twice.recordings] == ["x/1.bin", "x/1.bin~2"]
    assert [r.path for r in twice.recordings] == [str(tmp_path / "a/x/1.bin"), str(tmp_path / "b/x/1.bin")]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no recording"):
        find([str(tmp_path / "empty")])


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=20))
def test_floats_read_back_to_the_same_float32(values: list[float]) -> None:
    """The cell of a float32 is its shortest text."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        table = Csv(Path(folder) / "t.csv")
        table.add([("n", "p", 0, 0, 1, "a", np.float32(value)) for value in values])
        table.close()
        lines = (Path(folder) / "t.csv").read_text().splitlines()[1:]
    assert [np.float32(line.split(",")[-1]) for line in lines] == [np.float32(value) for value in values]


class Scripted:
    """A pool that answers as told: (name, attempt) -> status, or the text of a death."""

    def __init__(self, bad: dict[str, list[str]]) -> None:
        self.bad, self.order = bad, []

    def answers(self, following: Callable[[], Recording | None]) -> Iterator[tuple[Recording, Reply | str]]:
        while (recording := following()) is not None:
            self.order.append(recording.name)
            said = self.bad.get(recording.name, []).pop(0) if self.bad.get(recording.name) else "ok"
            if said == "died":
                yield recording, "its worker was killed"
            else:
                yield recording, Reply(record=Record(name=recording.name, status=said))


def test_failures_are_tried_once_more_after_all_others() -> None:
    """The largest goes first; a second failure is final."""
    recordings = [Recording("a", "a", 1), Recording("b", "b", 9), Recording("c", "c", 5)]
    pool, tally = Scripted({"b": ["died"], "c": ["failed", "failed", "ok"]}), Tally()
    go_through(pool, recordings, tally, lambda recording, reply, final: None)
    assert pool.order == ["b", "c", "a", "b", "c"]
    assert [(r.name, r.status) for r in tally.records] == [("a", "ok"), ("b", "ok"), ("c", "failed")]


def test_text_in_the_report_is_escaped() -> None:
    """Names and messages cannot become markup."""
    record = Record(name="<b>", status="failed", message="a & <script>")
    page = report("app", "0", [record], {"<b>": "<b>"}).decode()
    assert "<script>" not in page
    assert "a &amp; &lt;script&gt;" in page


def test_one_batch_at_a_time_in_a_folder(tmp_path: Path) -> None:
    """The second is refused, and what an earlier one left half-written goes."""
    with taken(tmp_path / "out") as scratch:
        (scratch / "1.part").write_text("half")
        with pytest.raises(UsageError, match="another batch writes there"), taken(tmp_path / "out"):
            pass
        assert (scratch / "1.part").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["run.json"]


@pytest.mark.parametrize("name", ["pyarrow", "ray"])
def test_missing_libraries_are_named_with_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are optional."""
    from evpipe.batch.ray_pool import RayPool

    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=f"pip install {name}"):
        arrow_modules() if name == "pyarrow" else RayPool(None, 1, None)  # type: ignore[arg-type]

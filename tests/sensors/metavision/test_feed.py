"""The feed: any way of taking gives the recording's columns once, in constant memory."""

import subprocess
import sys

import numpy as np
import pytest

from sensors.metavision.feed import Feed


def test_columns_are_those_of_the_conformance_list(shared) -> None:
    """Taken by 997 events, and by 3 ms: the digests of the stored columns."""
    import hashlib
    import json

    lines = (shared / "data/conformance/expected.jsonl").read_text().splitlines()
    expected = {one["path"]: one for one in map(json.loads, lines)}
    for name in ("faery_sdist/evt2.raw", "faery_sdist/evt3.raw", "faery_sdist/gen4.dat"):
        for step in ("n", "t"):
            feed = Feed(str(shared / "data" / name), do_time_shifting=False)
            parts, end = [], feed.next_us()
            while feed.more():
                end += 3000
                parts.append(feed.take(None, None, 997) if step == "n" else feed.take(end - 3000, end))
            whole = np.concatenate(parts)
            for field, kind in (("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")):
                column = np.ascontiguousarray(whole[field], kind)
                assert hashlib.sha256(column).hexdigest()[:16] == expected[name]["digest"][field], (name, field)
            assert feed.index() == feed.taken == expected[name]["n_events"]


def test_a_restart_from_a_time_gives_what_taking_on_would(shared) -> None:
    """Also where the reader can seek; the index of the next event is counted then."""
    for name in ("faery_sdist/gen4.dat", "faery_sdist/dvs.es", "faery_sdist/evt2.raw"):
        feed = Feed(str(shared / "data" / name), do_time_shifting=True)
        first = feed.next_us()
        for t in (first, first + 40_001, first, first + 80_000, 10**9):
            feed.restart()
            feed.drop(t)
            index, rest = feed.taken, feed.take(None, None, 5000)
            feed.restart(t)
            assert feed.index() == index
            again = feed.take(None, None, 5000)
            assert all((rest[field] == again[field]).all() for field in "xypt")
            assert feed.index() == index + len(rest)
        feed.close()


def test_closed_it_is_empty_and_a_restart_opens_it(raw) -> None:
    feed = Feed(raw([1, 2]), do_time_shifting=False)
    assert feed.take(None, 2).size == 1
    feed.close()
    assert not feed.more()
    feed.restart()
    assert feed.next_us() == 1


@pytest.mark.slow
def test_memory_is_constant(tmp_path) -> None:
    """A recording of 240 MB in slices of 10 ms takes less than 40 MB more than one of 12 MB."""
    code = """
import resource, sys
from sensors.metavision import EventsIterator
n = sum(events.size for events in EventsIterator(sys.argv[1], delta_t=10_000))
print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    peaks = []
    for million in (3, 60):
        path = tmp_path / "a.raw"
        with open(path, "wb") as file:
            file.write(b"% format EVT2;height=480;width=640\n% end\n")
            for k in range(million):
                high = np.uint32(8 << 28) | (np.arange(1000, dtype=np.uint32) + np.uint32(k * 1000))
                words = np.full((1000, 1001), 1 << 28 | 5 << 11 | 7, "<u4")
                words[:, 0] = high
                file.write(words.tobytes())
        done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
        n, peak_kb = map(int, done.stdout.split())
        assert n == million * 10**6
        peaks.append(peak_kb)
        path.unlink()
    assert peaks[1] - peaks[0] < 40_000

"""Work in several processes: order, faults, and no process left behind."""

import subprocess
import sys

import psutil
import pytest

from operators.learn.sources.processes import over


def test_results_keep_the_order_of_items() -> None:
    items = [str(number) for number in range(40)]
    assert list(over(int, items, 2)) == list(over(int, items, 1)) == list(range(40))


def test_what_a_process_raises_ends_the_work() -> None:
    with pytest.raises(ValueError, match="literal"):
        list(over(int, ["1", "x", *"123456"], 2))


WORK = """
import time
from operators.learn.sources.processes import over
for _ in over(time.sleep, [0.01, 0.01, 300, 300], 2):
    print("one", flush=True)
"""


def test_processes_end_with_the_one_that_started_them() -> None:
    """Killed, it cannot tell them to stop; they notice."""
    with subprocess.Popen([sys.executable, "-c", WORK], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout.readline() == "one\n"
        children = psutil.Process(run.pid).children(recursive=True)
        run.kill()
    assert len(children) >= 2
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive

"""The window in a process of its own: it starts, shows, ends, and leaves no thread, no word and no exit code behind."""

import subprocess
import sys

import pytest

from evpipe.view.display import LIBRARIES

CODE = """
import sys, threading, time
import numpy as np
from evpipe.packets import Events
from evpipe.view import Window

window = Window(accumulate_us=20_000)
window.open()
rng = np.random.default_rng(0)

def reader():
    for i in range(40):
        n = 2_000
        t = np.sort(rng.integers(i * 10_000, (i + 1) * 10_000, n))
        window.on_events(Events(t0_us=i * 10_000, t1_us=(i + 1) * 10_000, t=t,
            x=rng.integers(0, 346, n).astype(np.uint16), y=rng.integers(0, 260, n).astype(np.uint16),
            p=rng.integers(0, 2, n).astype(np.uint8), width=346, height=260))
        time.sleep(0.005)
    window.on_end()
    window.leave_main_loop()

thread = threading.Thread(target=reader)
thread.start()
window.main_loop()
thread.join()
window.close()
assert threading.active_count() == 1
for name in ("pyqtgraph", "cv2", "numba", "torch"):
    assert name not in sys.modules
print("done")
"""


def test_whole_life() -> None:
    """Exit code 0, and not a word from Qt or Python."""
    command = [sys.executable, "-W", "error", "-c", CODE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "Qt does not load" in done.stderr:
        pytest.skip(f"Qt does not load; {LIBRARIES}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")

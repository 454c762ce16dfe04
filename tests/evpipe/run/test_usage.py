"""Processor time and memory of a process, against psutil."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from evpipe.run.usage import usage

# Its name holds a space and a bracket, 20 MiB of memory are its own, 10 shared.
BUSY = """
import ctypes, mmap, os, time
ctypes.CDLL(None).prctl(15, b"odd) S 1 (name", 0, 0, 0)
own = bytearray(os.urandom(20 << 20))
shared = mmap.mmap(-1, 10 << 20)
shared.write(own[:10 << 20])
until = time.process_time() + 0.3
while time.process_time() < until: pass
print("ready", flush=True)
time.sleep(60)
"""


def test_figures_equal_those_of_psutil():
    """Whatever the process is called."""
    process = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    found, told = usage(process.pid), psutil.Process(process.pid)
    assert found is not None
    times, memory = told.cpu_times(), told.memory_info()
    assert found.cpu_s == pytest.approx(times.user + times.system, abs=0.05)
    assert found.cpu_s >= 0.3
    assert found.own_bytes + found.shared_bytes == pytest.approx(memory.rss, rel=0.02)
    assert found.shared_bytes == pytest.approx(10 << 20, rel=0.01)
    assert found.own_bytes > 20 << 20
    process.kill()
    process.communicate()
    assert usage(process.pid) is None

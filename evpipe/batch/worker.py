"""The process of one batch worker: takes a task, then recordings one at a time, and answers with what came of each.

Started by the pool with one argument, the number of the inherited socket; when the other end goes, so does it.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import sys
import threading
from contextlib import suppress
from typing import Any

import msgspec

from evpipe.batch.recordings import Recording
from evpipe.batch.runner import Runner, StoppedError
from evpipe.batch.task import Task
from evpipe.errors import WorkerError


def main(argv: list[str]) -> int:
    """Work until the pool hangs up; the result is the process's exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the pool's to handle
    end = socket.socket(fileno=int(argv[0]))
    lines: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_listen, args=(end, lines), daemon=True).start()
    runner = Runner(msgspec.json.decode(lines.get(), type=Task))
    while True:
        recording = msgspec.json.decode(lines.get(), type=Recording)
        try:
            reply = runner.run(recording)
        except StoppedError:
            return WorkerError.exit_code
        try:
            end.sendall(msgspec.json.encode(reply) + b"\n")
        except (BrokenPipeError, ConnectionResetError):
            return 0  # nobody waits for the answer any more


def _listen(end: socket.socket, lines: queue.Queue[bytes]) -> Any:
    """Hand on each line. At the end of the stream this process ends at once, whatever it is doing."""
    # An end that goes before it has read our answer resets the stream instead of ending it.
    with suppress(ConnectionResetError), end.makefile("rb") as stream:
        for line in stream:
            lines.put(line)
    os._exit(0)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)

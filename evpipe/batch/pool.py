"""Worker processes on this machine, each with one recording at a time. They die with this process, however it ends."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import msgspec

from evpipe.batch.recordings import Recording
from evpipe.batch.runner import Reply
from evpipe.batch.task import Task
from evpipe.run.parent import die_with_parent

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


def thread_settings(threads: int) -> dict[str, str]:
    """What holds every library of a worker to its compute threads; to be in force before any of them loads."""
    return dict.fromkeys(_THREADS, str(threads))


class _Hand:
    """A worker process, and the recording it has."""

    def __init__(self, process: subprocess.Popen[bytes], end: socket.socket) -> None:
        self.process, self.end = process, end
        self.recording: Recording | None = None
        self.heard = b""


class LocalPool:
    """Use it in a `with`: leaving kills what still works, and nothing half-written is ever in place."""

    def __init__(self, task: Task, jobs: int) -> None:
        self._task, self._jobs = task, jobs
        self._hands: list[_Hand] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(self, *_: object) -> None:
        for hand in self._hands:
            hand.process.kill()
            hand.process.wait()
            hand.end.close()
        self._selector.close()

    def answers(self, following: Callable[[], Recording | None]) -> Iterator[tuple[Recording, Reply | str]]:
        """Give out what `following` names until it names nothing more; yield each answer, or how the worker died."""
        self._give_out(following)
        while any(hand.recording for hand in self._hands):
            for key, _ in self._selector.select():
                hand: _Hand = key.data
                done = self._hear(hand)
                if done is not None:
                    yield done
            self._give_out(following)

    def _give_out(self, following: Callable[[], Recording | None]) -> None:
        free = [hand for hand in self._hands if hand.recording is None]
        while free or len(self._hands) < self._jobs:
            recording = following()
            if recording is None:
                return
            hand = free.pop() if free else self._spawn()
            hand.recording = recording
            try:
                hand.end.sendall(msgspec.json.encode(recording) + b"\n")
            except (BrokenPipeError, ConnectionResetError):
                continue  # it died between two recordings: its end of stream tells so, and the recording is given anew

    def _hear(self, hand: _Hand) -> tuple[Recording, Reply | str] | None:
        try:
            data = hand.end.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        recording = hand.recording
        if not data:
            self._selector.unregister(hand.end)
            hand.end.close()
            self._hands.remove(hand)
            code = hand.process.wait()
            return None if recording is None else (recording, _died(code))
        hand.heard += data
        if not hand.heard.endswith(b"\n"):
            return None
        reply = msgspec.json.decode(hand.heard, type=Reply)
        hand.heard, hand.recording = b"", None
        assert recording is not None
        return recording, reply

    def _spawn(self) -> _Hand:
        ours, theirs = socket.socketpair()
        process = subprocess.Popen(
            [sys.executable, "-m", "evpipe.batch.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=os.environ | thread_settings(self._task.threads),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - started from the main thread only
        )
        theirs.close()
        hand = _Hand(process, ours)
        ours.sendall(msgspec.json.encode(self._task) + b"\n")
        self._hands.append(hand)
        self._selector.register(ours, selectors.EVENT_READ, hand)
        return hand


def _died(code: int) -> str:
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    hint = "; the kernel may have needed its memory (see `dmesg`)" if code == -signal.SIGKILL else ""
    return f"its worker {how}{hint}"

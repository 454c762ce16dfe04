"""The same runners as Ray actors, on a local cluster or on one that runs already. Ray is loaded only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from evpipe.batch.pool import thread_settings
from evpipe.batch.recordings import Recording
from evpipe.batch.runner import Reply, Runner
from evpipe.batch.task import Task
from evpipe.errors import UsageError


class RayPool:
    """As LocalPool. On a cluster of several machines recordings and output lie on a file system that all share.

    `address` None starts a local cluster. Raises UsageError when ray is not installed.
    """

    def __init__(self, task: Task, jobs: int, address: str | None) -> None:
        try:
            self._ray: Any = import_module("ray")
        except ImportError:
            raise UsageError(
                "--engine ray needs ray, which is not installed: pip install ray; or leave it at --engine local"
            ) from None
        self._task, self._jobs, self._address = task, jobs, address
        self._busy: dict[Any, tuple[Any, Recording]] = {}

    def __enter__(self) -> RayPool:
        local = {} if self._address else {"num_cpus": self._jobs * self._task.threads}
        self._ray.init(address=self._address or "local", include_dashboard=False, log_to_driver=False, **local)
        options = {"num_cpus": self._task.threads, "runtime_env": {"env_vars": thread_settings(self._task.threads)}}
        self._actor = self._ray.remote(**options)(Runner)
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()

    def answers(self, following: Callable[[], Recording | None]) -> Iterator[tuple[Recording, Reply | str]]:
        """Give out what `following` names until it names nothing more; yield each answer, or how the actor died."""
        free: list[Any] = []
        while True:
            while len(self._busy) < self._jobs and (recording := following()) is not None:
                actor = free.pop() if free else self._actor.remote(self._task)
                self._busy[actor.run.remote(recording)] = (actor, recording)
            if not self._busy:
                return
            [done], _ = self._ray.wait(list(self._busy), num_returns=1)
            actor, recording = self._busy.pop(done)
            try:
                reply = self._ray.get(done)
            except self._ray.exceptions.RayError as error:
                yield recording, f"its worker died: {str(error).splitlines()[0]}"
                continue
            free.append(actor)
            yield recording, reply

"""What long work tells whoever watches: sentences, shares of a job that are done, and the epochs of a training."""

from __future__ import annotations

from typing import Protocol


class EpochLine(Protocol):
    """One line of a training's log. `validation`, in [0, 1], is what the best epoch is chosen by, higher is better."""

    @property
    def epoch(self) -> int:
        """Number of the epoch, from 0 on."""

    @property
    def loss(self) -> float:
        """Mean over the epoch."""

    @property
    def validation(self) -> float:
        """The figure by which the best epoch is chosen."""

    @property
    def samples_per_s(self) -> float:
        """How quick the training was."""

    def told(self) -> str:
        """What else there is to say of the epoch, in words; may be empty."""


class Progress(Protocol):
    """Who hears how far a long job has come."""

    def __call__(self, text: str) -> None:
        """A sentence about what was done."""

    def step(self, what: str, done: int, total: int, unit: str = "") -> None:
        """So much of a job is done."""

    def epoch(self, line: EpochLine, epochs: int) -> None:
        """An epoch of so many is done."""

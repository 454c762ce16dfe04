"""Prophesee RAW with EVT4: 32-bit words like EVT2's with other codes, and vectors whose mask is the next word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sensors.formats.prophesee_raw import RawReader
from sensors.formats.reader import Account, Chunk


class Evt4Reader(RawReader):
    """Reads EVT4. Times are as stored, even where they step back."""

    format = "EVT4"
    word = "<u4"

    def _kernel(self) -> Any:
        from sensors.kernels import evt4

        return evt4

    def chunks(self, wanted: frozenset[str] | None = None) -> Iterator[Chunk]:
        """Events, and trigger edges where there are some."""
        self._headless = False
        yield from super().chunks(wanted)
        if self._headless:
            end = self._file.seek(0, 2)
            self.account.lost(end - 4, "the file ends inside a vector: its mask is missing")

    def _tell(self, account: Account, kernel: Any, state: Any) -> None:
        account.note("words of an unknown kind, left out", int(state[kernel.UNKNOWN]))
        self._headless = bool(state[kernel.PENDING])

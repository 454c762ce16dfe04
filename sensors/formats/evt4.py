"""Prophesee RAW with EVT4: 32-bit words like EVT2's with other codes, and vectors whose mask is the next word."""

from __future__ import annotations

from typing import Any

from sensors.formats.prophesee_raw import RawReader
from sensors.formats.reader import Account


class Evt4Reader(RawReader):
    """Reads EVT4. Times are as stored, even where they step back."""

    format = "EVT4"
    word = "<u4"

    def _kernel(self) -> Any:
        from sensors.kernels import evt4

        return evt4

    def _tell(self, account: Account, kernel: Any, state: Any) -> None:
        account.note("words of an unknown kind, left out", int(state[kernel.UNKNOWN]))
        if state[kernel.PENDING]:
            end = self._file.seek(0, 2)
            account.lost(end - 4, "the file ends inside a vector: its mask is missing")

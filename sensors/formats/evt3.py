"""Prophesee RAW with EVT3: 16-bit words with a running row, base and time; 24-bit time unwrapped for each word."""

from __future__ import annotations

from typing import Any

from sensors.formats.prophesee_raw import RawReader
from sensors.formats.reader import Account


class Evt3Reader(RawReader):
    """Reads EVT3, one word at a time as the format text describes it.

    Where the clock steps back by less than half its range, times are held at the last one given out and counted.
    """

    format = "EVT3"
    word = "<u2"
    room = 2**17
    edges = 2**14

    def _kernel(self) -> Any:
        from sensors.kernels import evt3

        return evt3

    def _tell(self, account: Account, kernel: Any, state: Any) -> None:
        account.note("events before the first row", int(state[kernel.ROWLESS]))
        account.note("events whose time stepped back, held at the time before", int(state[kernel.HELD]))

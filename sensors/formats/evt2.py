"""Prophesee RAW with EVT2: 32-bit words, 34-bit time unwrapped for each word."""

from __future__ import annotations

from typing import Any

from sensors.formats.prophesee_raw import RawReader


class Evt2Reader(RawReader):
    """Reads EVT2. Times are as stored, even where they step back."""

    format = "EVT2"
    word = "<u4"

    def _kernel(self) -> Any:
        from sensors.kernels import evt2

        return evt2

"""Prophesee RAW with EVT2.1: 64-bit words with a mask of 32 pixels, in either order of their halves."""

from __future__ import annotations

from typing import Any, BinaryIO, Literal

import numpy as np

from sensors.formats.prophesee_raw import RawReader
from sensors.formats.reader import Account

Order = Literal["little", "legacy"]

_LOOK = 2**16
_LEGACY_SYSTEMS = range(1, 0x37)


class Evt21Reader(RawReader):
    """Reads EVT2.1. Times are as stored, even where they step back.

    The order of a word's halves is what the data show, where only one fits; then what the header says; then the
    vendor's rule by board.
    """

    format = "EVT2.1"
    word = "<u8"

    def __init__(
        self, path: str, file: BinaryIO, start: int, size: tuple[int, int], keys: dict[str, str] | None = None
    ) -> None:
        """`size` is (width, height) in pixels; `keys` are those of the file's header."""
        super().__init__(path, file, start, size)
        file.seek(start)
        shown = order_of(file.read(_LOOK))
        self._said = stated_order(keys or {})
        self.order: Order = shown or self._said or board_order(keys or {})

    def _kernel(self) -> Any:
        from sensors.kernels import evt21

        return evt21

    def _state(self, kernel: Any) -> Any:
        state = kernel.new_state()
        state[kernel.SWAPPED] = self.order == "legacy"
        return state

    def _tell(self, account: Account, kernel: Any, state: Any) -> None:
        account.note("words of an unknown kind, left out", int(state[kernel.UNKNOWN]))
        wrong = self._said is not None and self._said != self.order
        account.note(f"the header names the order {self._said}, but the words are {self.order}: read as such", wrong)


def stated_order(keys: dict[str, str]) -> Order | None:
    """The order of halves that a header names, if it does."""
    options = dict(part.split("=", 1) for part in keys.get("format", "").split(";")[1:] if "=" in part)
    name = options.get("endianness", keys.get("endianness", "")).strip().lower()
    return "little" if name == "little" else "legacy" if name == "legacy" else None


def board_order(keys: dict[str, str]) -> Order:
    """The vendor's rule for headers that do not name it: the old boards of Prophesee wrote the upper half first."""
    old = keys.get("integrator_name", "Prophesee")
    makers = [keys.get(name, old) for name in ("camera_integrator_name", "plugin_integrator_name")]
    system = keys.get("system_ID", "")
    old_board = not (system.isdecimal() and len(system) < 10) or int(system) in _LEGACY_SYSTEMS
    return "legacy" if old_board and all(maker == "Prophesee" for maker in makers) else "little"


def order_of(data: bytes) -> Order | None:
    """The only order in which these words make sense: known kinds, times that recur and do not step back."""
    halves = np.frombuffer(data, "<u4", len(data) // 8 * 2).reshape(-1, 2)
    fits: list[Order] = []
    names: tuple[tuple[Order, int], ...] = (("little", 1), ("legacy", 0))
    for name, place in names:
        kinds = halves[:, place] >> 28
        times = halves[kinds == 8, place].astype(np.int64)
        known = np.isin(kinds, (0, 1, 8, 10, 14, 15))
        steps = np.diff(times)
        back = np.count_nonzero((steps < 0) & (steps > -(2**27)))
        if len(times) > len(kinds) // 1000 and known.mean() > 0.99 and back <= len(times) // 100:
            fits.append(name)
    return fits[0] if len(fits) == 1 else None

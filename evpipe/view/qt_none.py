"""Works round a fault of PySide6 6.12: under Python before 3.12 each Qt call that returns None loses a reference.

The wheels are built for all Pythons with headers in which None is immortal (PEP 683), which it is from 3.12 on only;
after some thousand calls an older Python ends with "none_dealloc: deallocating None".
"""

import ctypes
import sys

_ENOUGH = 2**40  # thirty years of a window that makes a thousand calls a second


def keep_none() -> None:
    """Give None so many references that losing one at each call does no harm, as Python 3.12 does. Safe to repeat."""
    if sys.version_info < (3, 12) and sys.getrefcount(None) < _ENOUGH:
        ctypes.c_ssize_t.from_address(id(None)).value += _ENOUGH

"""Where compiled kernels are kept: a folder of evpipe's own, so that an installed package needs no writable folder."""

from __future__ import annotations

import os


def own_numba_cache() -> str | None:
    """Point numba's cache to $XDG_CACHE_HOME/evpipe/numba (else ~/.cache/evpipe/numba), unless it is set already.

    To be called before numba is imported. Returns the folder in force; None when it cannot be made or written to, and
    numba is then left to its own rules.
    """
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return chosen
    folder = os.path.join(cache_folder(), "numba")
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return None
    if not os.access(folder, os.W_OK | os.X_OK):
        return None
    os.environ["NUMBA_CACHE_DIR"] = folder
    return folder


def cache_folder() -> str:
    """The folder of evpipe's caches, made or not."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(home, "evpipe")

"""Which writer makes a format, and which format the name of a file asks for."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from evpipe.errors import UsageError
from sensors.writers.writer import Writer


class Format(NamedTuple):
    """A format that is written: ending of its files, what it is in a few words, module and class, its options."""

    suffix: str
    what: str
    module: str
    writer: str
    options: Mapping[str, Any] = MappingProxyType({})


FORMATS = {
    "evt3": Format(".raw", "Prophesee RAW EVT3, with vectors", "raw", "RawWriter", {"coding": "evt3"}),
    "evt2": Format(".raw", "Prophesee RAW EVT2", "raw", "RawWriter", {"coding": "evt2"}),
    "evt21": Format(".raw", "Prophesee RAW EVT2.1", "raw", "RawWriter", {"coding": "evt21"}),
    "dat": Format(".dat", "Prophesee DAT", "dat", "DatWriter"),
    "hdf5": Format(".hdf5", "Prophesee HDF5, not compressed", "hdf5", "Hdf5Writer"),
    "hdf5-gzip": Format(".hdf5", "Prophesee HDF5, gzip", "hdf5", "Hdf5Writer", {"packing": "gzip"}),
    "hdf5-ecf": Format(".hdf5", "Prophesee HDF5, the vendor's codec", "hdf5", "Hdf5Writer", {"packing": "ecf"}),
    "aedat4": Format(".aedat4", "AEDAT 4, holds frames and IMU too", "aedat4", "Aedat4Chunks"),
    "es": Format(".es", "Event Stream", "es", "EsWriter"),
    "mcap": Format(".mcap", "MCAP with ROS 2 messages, absolute times, holds frames", "mcap", "McapWriter"),
    "mcap-evt3": Format(".mcap", "MCAP with EVT3 inside, holds frames", "mcap", "McapWriter", {"coding": "evt3"}),
    "npz": Format(".npz", "numpy columns t, x, y, p", "npz", "NpzWriter"),
    "csv": Format(".csv", "text, a line t,x,y,p for each event", "text", "TextWriter"),
}
_FURTHER_SUFFIXES = {".h5": "hdf5", ".txt": "csv"}
_MERGING = ("RawWriter", "McapWriter")


def format_of(path: str | os.PathLike[str], format: str | None = None) -> str:  # noqa: A002
    """The format's name: as asked for, else by the ending of `path`. Raises UsageError for one that is not written."""
    if format is not None:
        if format not in FORMATS:
            near = difflib.get_close_matches(format, FORMATS, n=1)
            meant = f"Did you mean {near[0]}? " if near else ""
            raise UsageError(f"there is no format {format!r} to write. {meant}Formats are: {', '.join(FORMATS)}.")
        return format
    suffix = Path(path).suffix.lower()
    by_suffix = {entry.suffix: name for name, entry in reversed(FORMATS.items())} | _FURTHER_SUFFIXES
    if suffix not in by_suffix:
        said = f"its ending {suffix!r} names no format" if suffix else "it has no ending that names a format"
        raise UsageError(f"{path}: {said} to write. End it in {', '.join(by_suffix)}, or name the format.")
    return by_suffix[suffix]


def open_writer(
    path: str | os.PathLike[str],
    *,
    width: int,
    height: int,
    format: str | None = None,  # noqa: A002
    lag_us: int = 0,
) -> Writer:
    """Begin a recording of a sensor of `width` x `height` pixels; an existing file is overwritten.

    `format` is one of `FORMATS`, by default what the ending of `path` says (`.raw`: EVT3). `lag_us`: by how much
    trigger edges may come after events of their time, beyond the chunk of these (`Reader.disorder_us`). Raises
    UsageError for a format that is not written, RecorderError when the file cannot be made.
    """
    from importlib import import_module

    chosen = FORMATS[format_of(path, format)]
    make: Callable[..., Writer] = getattr(import_module(f"sensors.writers.{chosen.module}"), chosen.writer)
    lag = {"lag_us": lag_us} if chosen.writer in _MERGING else {}
    return make(path, width, height, **chosen.options, **lag)

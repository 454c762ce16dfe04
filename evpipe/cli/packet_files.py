"""Packets kept in a file: arrays as `.npz`, the last picture as `.png`, a line each as `.jsonl`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from evpipe.cli.packet_text import gap_plain, plain
from evpipe.errors import RecorderError, UsageError
from evpipe.link.queue import Gap
from evpipe.packets import U8, Boxes, Events, Frame, FramePair, Imu, Packet, Tensor, Triggers

KEPT_BYTES = 512 * 2**20  # of arrays that wait to be written as .npz
PICTURE_US = 33_000  # sensor time in a picture of events

_COLUMNS = (Events, Triggers, Imu, Boxes)  # kinds whose arrays are columns of any length
_ENDINGS = ".npz, .png, .jsonl"


class PacketFile(Protocol):
    """Where packets of one port go. `full`: it takes no more."""

    full: bool

    def add(self, packet: Packet, origin: str) -> None:
        """Take a packet of the port `origin`; its arrays are copied where they are kept."""

    def gap(self, gap: Gap, origin: str) -> None:
        """Packets before the next one never came."""

    def close(self) -> str:
        """Write what is left; says what is in the file. Raises RecorderError when it cannot be written."""


def open_file(path: str, *, force: bool, bounded: bool) -> PacketFile:
    """The file for an ending. `bounded`: the packets end by themselves; else a picture is full with one of them.

    Raises UsageError for another ending, or when the file exists and `force` is false.
    """
    file = Path(path)
    if file.suffix not in (".npz", ".png", ".jsonl"):
        raise UsageError(f"--save {path}: expected a name that ends in one of {_ENDINGS}")
    if file.exists() and not force:
        raise UsageError(f"--save {path}: the file exists; give another one, or --force")
    if file.suffix == ".jsonl":
        return _Lines(file)
    return _Arrays(file) if file.suffix == ".npz" else _Picture(file, bounded)


class _Lines:
    """A JSON object a line, gaps included."""

    full = False

    def __init__(self, path: Path) -> None:
        self._path, self._count = path, 0
        try:
            self._file = path.open("w", encoding="utf-8")
        except OSError as error:
            raise _unwritten(path, error) from None

    def add(self, packet: Packet, origin: str) -> None:
        self._write(plain(packet, origin))
        self._count += 1

    def gap(self, gap: Gap, origin: str) -> None:
        self._write(gap_plain(gap, origin))

    def close(self) -> str:
        try:
            self._file.close()
        except OSError as error:
            raise _unwritten(self._path, error) from None
        return f"{self._path}: {self._count} packets"

    def _write(self, found: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(found) + "\n")
        except OSError as error:
            raise _unwritten(self._path, error) from None


class _Arrays:
    """Every array of every packet. Columns (events, samples, boxes) follow each other, `counts` says how many each.

    Other arrays are stacked along a new first axis. `t0_us`, `t1_us` and `seq` have one value a packet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._packets: list[Packet] = []
        self._kept: dict[str, list[NDArray[Any]]] = {}
        self._nbytes = self._missing = 0
        self.full = False

    def add(self, packet: Packet, origin: str) -> None:
        for name in packet.__struct_fields__:
            value = getattr(packet, name)
            if isinstance(value, np.ndarray):
                self._kept.setdefault(name, []).append(value.copy())
                self._nbytes += value.nbytes
        self._packets.append(_header(packet))
        self.full = self._nbytes >= KEPT_BYTES

    def gap(self, gap: Gap, origin: str) -> None:
        self._missing += gap.count

    def close(self) -> str:
        if not self._packets:
            return f"{self._path}: not written, nothing came"
        columns = isinstance(self._packets[0], _COLUMNS)
        arrays: dict[str, Any] = {name: self._joined(name, parts, columns) for name, parts in self._kept.items()}
        if columns:
            arrays["counts"] = np.array([len(part) for part in next(iter(self._kept.values()))], np.int64)
        for name in self._packets[0].__struct_fields__:
            if name not in arrays and name not in ("extras", "epoch"):
                arrays[name] = _plain_field(name, self._packets)
        try:
            np.savez_compressed(self._path, **arrays)
        except OSError as error:
            raise _unwritten(self._path, error) from None
        limit = f", its limit of {KEPT_BYTES / 2**20:.0f} MiB is reached" if self.full else ""
        gaps = f", {self._missing} packets between them went by" if self._missing else ""
        return f"{self._path}: {len(self._packets)} packets{gaps}{limit}"

    def _joined(self, name: str, parts: list[NDArray[Any]], columns: bool) -> NDArray[Any]:
        if columns:
            return np.concatenate(parts)
        shapes = {part.shape for part in parts}
        if len(shapes) == 1:
            return np.stack(parts)
        if all(part.ndim == 1 for part in parts):
            return np.concatenate(parts)
        found = ", ".join(map(str, sorted(shapes)))
        raise RecorderError(
            f"--save {self._path}: '{name}' changes its shape ({found}) and cannot be one array; save as .jsonl"
        )


class _Picture:
    """The last picture: of events the newest 33 ms of sensor time, of a tensor the mean over all but rows, columns."""

    def __init__(self, path: Path, bounded: bool) -> None:
        self._path, self._bounded = path, bounded
        self._image: U8 | None = None
        self._surface: Any = None
        self._t0_us: int | None = None
        self.full = False

    def add(self, packet: Packet, origin: str) -> None:
        if self._t0_us is None:
            self._t0_us = packet.t0_us
        if isinstance(packet, Events):
            from evpipe.view.surface import EventSurface

            self._surface = self._surface or EventSurface()
            self._surface.add(packet)
        elif isinstance(packet, Frame | FramePair):
            self._image = packet.image.copy()
        elif isinstance(packet, Tensor) and {"H", "W"} <= set(packet.axes):
            self._image = _levels(packet)
        else:
            raise UsageError(f"{self._path}: a {type(packet).__name__} is no picture; save as .npz or .jsonl")
        self.full = not self._bounded and (self._surface is None or packet.t1_us - self._t0_us >= PICTURE_US)

    def gap(self, gap: Gap, origin: str) -> None:
        """A picture shows what came."""

    def close(self) -> str:
        import cv2

        image = self._image if self._surface is None else _coloured(self._surface)
        if image is None or not image.size:
            return f"{self._path}: not written, no picture came"
        written = image[:, :, ::-1] if image.ndim == 3 else image
        _, data = cv2.imencode(".png", np.ascontiguousarray(written))
        try:
            self._path.write_bytes(data.tobytes())
        except OSError as error:
            raise _unwritten(self._path, error) from None
        return f"{self._path}: picture of {image.shape[1]} x {image.shape[0]} pixels"


def _coloured(surface: Any) -> U8:
    """RGB uint8 [H, W, 3] in the window's colours."""
    from evpipe.view.palettes import PALETTES, colour_table
    from evpipe.view.surface import SHADES, Accumulation

    shades = np.zeros(surface.shape, np.uint8)
    surface.draw(Accumulation(us=PICTURE_US), shades)
    table = np.array(colour_table(PALETTES["dark"], SHADES), np.uint32)
    rgb = np.stack([table >> 16 & 255, table >> 8 & 255, table & 255], axis=1).astype(np.uint8)
    coloured: U8 = rgb[shades]
    return coloured


def _levels(tensor: Tensor) -> U8:
    """Grey uint8 [H, W]: the mean over all axes but rows and columns, its least value black and its greatest white."""
    others = tuple(k for k, axis in enumerate(tensor.axes) if axis not in "HW")
    mean = tensor.values.astype(np.float64).mean(axis=others)
    if tensor.axes.index("H") > tensor.axes.index("W"):
        mean = mean.T
    low, high = float(mean.min()), float(mean.max())
    levels: U8 = np.round((mean - low) * (255 / (high - low) if high > low else 0)).astype(np.uint8)
    return levels


def _header(packet: Packet) -> Packet:
    """The packet without its arrays, whose memory is lent."""
    import msgspec

    empty = {
        name: np.empty(0, getattr(packet, name).dtype)
        for name in packet.__struct_fields__
        if isinstance(getattr(packet, name), np.ndarray)
    }
    return msgspec.structs.replace(packet, **empty)


def _plain_field(name: str, packets: list[Packet]) -> NDArray[Any]:
    """A value for each packet; the sensor's size and names, which all share, once."""
    values = [getattr(packet, name) for packet in packets]
    return np.array(values[0] if name in ("width", "height", "labels", "axes") else values)


def _unwritten(path: Path, error: OSError) -> RecorderError:
    return RecorderError(f"--save {path}: cannot be written: {error.strerror}; free some disk, or give another place")

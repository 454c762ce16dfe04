"""`evpipe info`: what a recording holds, whether it is whole, and digests to compare its events by."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from typing import Any

import numpy as np

from evpipe.errors import InputError, UsageError

EXAMPLE = "evpipe info recording.raw --json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `evpipe info`."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="a recording")
    parser.add_argument("--size", metavar="HxW", help="rows x columns of the sensor, where the file says none")
    parser.add_argument("--encoding", choices=("evt2", "evt21", "evt3", "evt4"), help="of RAW files without a header")
    parser.add_argument(
        "--index", action="store_true", help="write FILE.evpipe-index, so that any time is found at once from then on"
    )


def run(args: argparse.Namespace) -> int:
    """Print one text block, or with --json one object a line, for each file. 3 if one is unreadable or damaged."""
    size = _size(args.size)
    code = 0
    for path in args.files:
        try:
            found = inspect(path, size, args.encoding, index=args.index)
        except InputError as error:
            sys.stderr.write(f"{error}\n")
            found = {"path": path, "format": None, "damage": [{"offset": 0, "what": str(error)}]}
        else:
            for damage in found["damage"]:
                sys.stderr.write(f"{path}: byte {damage['offset']}: {damage['what']}\n")
        if found["damage"]:
            code = InputError.exit_code
        if args.json:
            sys.stdout.write(json.dumps(found) + "\n")
        elif found["format"]:
            sys.stdout.write(_text(found))
        sys.stdout.flush()
    return code


def inspect(
    path: str, size: tuple[int, int] | None = None, encoding: Any = None, *, index: bool = False
) -> dict[str, Any]:
    """Read a recording from end to end in constant memory, and count.

    `size` (height, width) overrides the file's; `index` writes the file of its places. Digests are the first 16 hex
    digits of SHA-256 over the whole column as little-endian int64, uint16, uint16, uint8. Raises InputError when the
    header cannot be read.
    """
    from sensors.formats.detect import open_reader
    from sensors.formats.reader import EventChunk, FrameChunk, ImuChunk, shown

    reader = open_reader(path, size, encoding)
    try:
        counts = {"frames": 0, "imu": 0, "triggers": 0}
        stored, upright = _Digest(), _Digest()
        mirrored = reader.mirror_x or reader.mirror_y
        n_events = n_on = 0
        first = last = None
        monotonic = True
        for chunk in reader.chunks():
            if isinstance(chunk, EventChunk):
                t = chunk.t
                stored.add(chunk)
                if mirrored:
                    upright.add(shown(reader, chunk))
                monotonic = monotonic and (last is None or int(t[0]) >= last) and not bool((t[1:] < t[:-1]).any())
                first = int(t[0]) if first is None else first
                last = int(t[-1])
                n_events += len(t)
                n_on += int(np.count_nonzero(chunk.p))
            elif isinstance(chunk, FrameChunk):
                counts["frames"] += 1
            else:
                counts["imu" if isinstance(chunk, ImuChunk) else "triggers"] += len(chunk.t)
        duration = (last - first) / 1e6 if first is not None and last is not None else 0.0
        found: dict[str, Any] = {
            "path": path,
            "format": reader.format,
            "width": reader.width,
            "height": reader.height,
            "n_events": n_events,
            "n_on": n_on,
            "t_first_us": first,
            "t_last_us": last,
            "monotonic": monotonic,
            "digest": stored.digits(),
        }
        if mirrored and upright.digits() != stored.digits():
            found["digest_shown"] = upright.digits()
        found |= {"duration_s": duration, "rate_ev_s": n_events / duration if duration > 0 else None, **counts}
        account = reader.account
        found["bytes"] = os.path.getsize(path)
        found["damage"] = [{"offset": damage.offset, "what": damage.what} for damage in account.damage]
        if account.more_damage:
            what = f"{account.more_damage} more damaged places follow"
            found["damage"].append({"offset": account.damage[-1].offset, "what": what})
        found["notes"] = account.notes
        if index:
            found["index"] = _indexed(reader)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}. Get a whole copy.") from None
    finally:
        reader.close()
    return found


def _indexed(reader: Any) -> dict[str, Any]:
    """Write the index of a recording: file, number of places and, where there is no such file, why."""
    from sensors.formats.file_reader import FileReader

    if not isinstance(reader, FileReader) or not reader.seekable:
        why = (
            "is found by time without an index" if reader.seekable else "is packed: it can only be read from its start"
        )
        return {"path": None, "places": 0, "why": f"{reader.path}: {why}"}
    reader.index.finish()
    kept = reader.index.keep()
    return {"path": reader.index.path if kept else None, "places": len(reader.index), "why": reader.index.remark}


class _Digest:
    """SHA-256 of each column, taken in as the columns come."""

    def __init__(self) -> None:
        self._hashes = [hashlib.sha256() for _ in range(4)]

    def add(self, columns: Any) -> None:
        for hash_, column, kind in zip(self._hashes, columns, ("<i8", "<u2", "<u2", "u1"), strict=True):
            hash_.update(np.ascontiguousarray(column, kind).data)

    def digits(self) -> dict[str, str]:
        return {name: hash_.hexdigest()[:16] for name, hash_ in zip("txyp", self._hashes, strict=True)}


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    rows, _, columns = text.lower().partition("x")
    if not (rows.isdigit() and columns.isdigit() and int(rows) > 0 and int(columns) > 0):
        raise UsageError(f"--size {text!r}: give rows x columns, for example --size 720x1280.")
    return int(rows), int(columns)


def _text(found: dict[str, Any]) -> str:
    width, height = found["width"], found["height"]
    lines = [
        ("format", found["format"] + (f", {width} x {height} pixels" if width else "")),
        ("size", f"{found['bytes']:,} bytes"),
        ("events", f"{found['n_events']:,} ({found['n_on']:,} brighter)"),
    ]
    if found["t_first_us"] is not None:
        order = "" if found["monotonic"] else ", stepping back"
        lines.append(("time", f"{found['t_first_us']} to {found['t_last_us']} us, {found['duration_s']:.6f} s{order}"))
    if found["rate_ev_s"]:
        lines.append(("rate", f"{found['rate_ev_s']:,.0f} events/s"))
    lines += [(name, f"{found[name]:,}") for name in ("frames", "imu", "triggers") if found[name]]
    lines.append(("digest", " ".join(f"{name} {digits}" for name, digits in found["digest"].items())))
    if "digest_shown" in found:
        lines.append(("upright", " ".join(f"{name} {digits}" for name, digits in found["digest_shown"].items())))
    if index := found.get("index"):
        lines.append(("index", f"{index['path']}, {index['places']:,} places" if index["path"] else index["why"]))
    lines += [("note", f"{count:,} {what}") for what, count in found["notes"].items()]
    lines += [("damage", f"byte {damage['offset']}: {damage['what']}") for damage in found["damage"]]
    head = _bold(found["path"])
    return "\n".join([head, *(f"  {name:9}{value}" for name, value in lines)]) + "\n"


def _bold(text: str) -> str:
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[1m{text}\x1b[0m"

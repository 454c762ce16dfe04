"""Biases and region of interest: what a graph may write for a camera's settings, read and checked.

Biases are a mapping, the name of a preset of configs/biases, or the path of a vendor's .bias file.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import msgspec

import evpipe
from evpipe.errors import CameraError, UsageError

Biases = dict[str, int] | str
Region = tuple[int, int, int, int] | None


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of configs/biases: for which sensor, where its figures are from, values, and ranges where published."""

    sensor: str
    source: str
    values: dict[str, int]
    ranges: dict[str, tuple[int, int]] = {}


def presets_folder() -> Path:
    """configs/biases of the package (in a checkout: beside it)."""
    package = Path(evpipe.__file__).resolve().parent
    shipped = package / "configs"
    return (shipped if shipped.is_dir() else package.parent / "configs") / "biases"


def preset_names() -> list[str]:
    """Names of the presets there are."""
    return sorted(path.stem for path in presets_folder().glob("*.yaml"))


def read_preset(name: str) -> Preset:
    """A preset by its name. Raises UsageError, with the names there are, when there is none."""
    from ruamel.yaml import YAML

    path = presets_folder() / f"{name}.yaml"
    if name not in preset_names():
        near = difflib.get_close_matches(name, preset_names(), 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(
            f"biases: {name!r} is neither a preset ({', '.join(preset_names())}) nor the path of a .bias file.{hint}"
        )
    return msgspec.convert(YAML(typ="safe").load(path.read_text("utf-8")), Preset)


def read_bias_file(path: str) -> dict[str, int]:
    """A vendor's .bias file: lines `value % name`, the value decimal or 0x hexadecimal; lines of `%` are a header.

    Format as the open source of Prophesee's HAL reads it (OpenEB, i_ll_biases.cpp). Raises UsageError with the line.
    """
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(f"biases: {path} cannot be read: {reason}. Give the path of a .bias file.") from None
    found: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("%"):
            continue
        name, value = _bias_line(path, number, line)
        if found.setdefault(name, value) != value:
            raise UsageError(f"{path}:{number}: gives {name} the value {value} after {found[name]}. Keep one of them.")
    return found


def _bias_line(path: str, number: int, line: str) -> tuple[str, int]:
    text, _, rest = line.partition("%")
    name = (rest.split() or [""])[0]
    try:
        value = int(text, 16 if "0x" in text.lower() else 10)
    except ValueError:
        name = ""
        value = 0
    if not name:
        raise UsageError(f"{path}:{number}: expected `value % name`, such as `115 % bias_diff_on`; found {line!r}.")
    return name, value


def biases_of(biases: Biases) -> dict[str, int]:
    """The values that a graph means. Raises UsageError when it names neither a preset nor a readable file."""
    if isinstance(biases, dict):
        return dict(biases)
    if not biases:
        return {}
    if biases.endswith(".bias") or "/" in biases:
        return read_bias_file(biases)
    return dict(read_preset(biases).values)


def settings_faults(biases: Biases = "", roi: Region = None, **_: Any) -> list[str]:
    """What is wrong with these parameters of a camera; `evpipe check` shows it."""
    faults = []
    try:
        biases_of(biases)
    except UsageError as error:
        faults.append(str(error))
    if roi is not None and (min(roi[:2]) < 0 or min(roi[2:]) < 1):
        faults.append(f"roi is [x, y, width, height] in px, from 0 and at least 1 wide and high; found {list(roi)}")
    return faults


def check_region(region: Region, width: int, height: int, name: str) -> None:
    """Raises CameraError for a region that does not lie on a sensor of `width` x `height` px."""
    if region is None:
        return
    x, y, w, h = region
    if min(x, y) < 0 or min(w, h) < 1 or x + w > width or y + h > height:
        raise CameraError(
            f"{name}: roi {list(region)} reaches beyond the sensor of {width}x{height} px; give [x, y, width, height] "
            "inside it."
        )


def check_bias_names(biases: dict[str, int], known: list[str], name: str) -> None:
    """Raises CameraError when a bias is not among those that the camera has."""
    for bias in biases:
        if bias not in known:
            near = difflib.get_close_matches(bias, known, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise CameraError(f"{name} has no bias {bias!r}; it has: {', '.join(known) or 'none'}.{hint}")

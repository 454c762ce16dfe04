"""A model is a folder: `model.yaml` says what it is, takes and answers; `weights.safetensors` holds its arrays.

Nothing in a model folder is executed or unpickled.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from evpipe.errors import InputError, UsageError
from operators.network import Count, Network
from operators.strict_yaml import nearest, read
from operators.tasks import check_task

if TYPE_CHECKING:
    from collections.abc import Mapping

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """What one window of the network's input is: `frames` count frames of `size` [height, width].

    `sensor` [height, width] is the geometry of the training data; another one works as far as it is alike.
    """

    window_us: Count
    frames: Count
    size: tuple[Count, Count]
    sensor: tuple[Count, Count]

    @property
    def frame_us(self) -> int:
        """Length of one frame."""
        return self.window_us // self.frames


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured on recordings that training and the choice of the epoch never saw.

    `accuracy` is the share of windows answered right, `per_recording` that of whole recordings, whose windows' rates
    are summed (`vote`). `baseline` is a logistic regression on the window's summed counts. `confusion` counts windows
    [truth][answer], the last column being windows without any answer; `per_class` is the share of each class that was
    answered right. `firing_rate`: spikes per neuron and step over all layers; `energy_uj`: of one window, in uJ, at
    0.9 pJ an accumulation and 4.6 pJ a multiplication.
    """

    accuracy: Share
    baseline: Share
    chance: Share
    windows: Count
    per_recording: Share = 0.0
    recordings: int = 0
    vote: Literal["sum"] = "sum"
    firing_rate: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    energy_uj: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    per_class: dict[str, Share]
    confusion: tuple[tuple[int, ...], ...]


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `model.yaml`."""

    evpipe_model: Literal[1]
    name: str
    about: str
    licence: str
    network: Network
    input: Input
    labels: tuple[str, ...]
    training: dict[str, Any]
    figures: Figures
    repeat: str


SHIPPED = Path(__file__).resolve().parent.parent / "evpipe" / "models"


def folders() -> list[Path]:
    """Where names of models are looked up, in this order."""
    return [SHIPPED, Path.home() / ".local" / "share" / "evpipe" / "models"]


def names() -> dict[str, Path]:
    """Every model that can be named, with its folder."""
    found: dict[str, Path] = {}
    for folder in folders():
        for card in sorted(folder.glob("*/model.yaml")):
            found.setdefault(card.parent.name, card.parent)
    return found


def resolve(model: str) -> Path:
    """The folder of a model given by path or by name. Raises UsageError with the names there are."""
    path = Path(model).expanduser()
    if (path / "model.yaml").is_file():
        return path
    known = names()
    if model in known:
        return known[model]
    places = ", ".join(str(folder) for folder in folders())
    raise UsageError(
        f"no model '{model}': no folder of this path holds a model.yaml, and no model in {places} has this name; "
        f"{nearest(model, list(known))}"
    )


def read_card(folder: Path) -> Card:
    """The card of a model that classifies windows of events. Raises UsageError naming file, line and field."""
    check_task(folder / "model.yaml", "classify")
    return read(folder / "model.yaml", Card)


def as_yaml(struct: msgspec.Struct) -> str:
    """A card or a recipe as the text of a YAML file."""
    from io import StringIO

    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.default_flow_style = None
    yaml.width = 120
    text = StringIO()
    yaml.dump(msgspec.to_builtins(struct), text)
    return text.getvalue()


def write(folder: Path, card: msgspec.Struct, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a model folder with the card of its task; files already there are replaced."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: np.array(array, order="C") for name, array in arrays.items()}, folder / "weights.safetensors")
    (folder / "model.yaml").write_text(as_yaml(card), encoding="utf-8")


def read_arrays(folder: Path, part: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.float32]]:
    """The float32 arrays `part.NAME` of a model folder by NAME, exactly those of `shapes`.

    Raises InputError for a file that is missing, damaged, or holds other names, shapes or types.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / "weights.safetensors"
    try:
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a whole safetensors file ({error}); get the model again") from None
    arrays = {name.removeprefix(part + "."): a for name, a in stored.items() if name.startswith(part + ".")}
    faults = [f"lacks '{part}.{name}'" for name in shapes if name not in arrays]
    faults += [f"holds '{part}.{name}', which nothing asks for" for name in arrays if name not in shapes]
    for name in arrays.keys() & shapes.keys():
        found = f"{arrays[name].dtype} {list(arrays[name].shape)}"
        if found != (wanted := f"float32 {list(shapes[name])}"):
            faults.append(f"'{part}.{name}' is {found}, not {wanted}")
    if faults:
        raise InputError(f"{path}: does not fit {folder / 'model.yaml'}: {'; '.join(sorted(faults))}")
    return arrays

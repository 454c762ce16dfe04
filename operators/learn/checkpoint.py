"""The state of a training after an epoch, on disk, so that one that was killed goes on to the same bytes.

Arrays first, then the log by a rename: what the log names is whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import msgspec
from torch import Tensor, nn, optim

from evpipe.errors import UsageError

L = TypeVar("L", bound=msgspec.Struct)
LOG = "log.json"


class Restored(NamedTuple, Generic[L]):
    """The log of the epochs done, the best weights so far, and what else was kept, by name."""

    log: list[L]
    best: dict[str, Tensor]
    extra: dict[str, Tensor]


def keep(
    folder: Path,
    recipe: msgspec.Struct,
    log: Sequence[msgspec.Struct],
    *,
    net: nn.Module,
    optimizer: optim.Optimizer,
    best: Mapping[str, Tensor],
    extra: Mapping[str, Tensor] | None = None,
) -> None:
    """Write the state after an epoch in place of the one before; the optimizer's tensors are kept, not its rates."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    parts: dict[str, Mapping[str, Tensor]] = {"net": net.state_dict(), "best": best, "extra": extra or {}}
    tensors = {f"{part}.{name}": tensor for part, named in parts.items() for name, tensor in named.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in state.items()}
    arrays = folder / f"epoch{len(log)}.safetensors"
    # Copies, since two names may share memory, which the format refuses.
    save_file({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, arrays)
    text = msgspec.json.encode({"recipe": recipe, "arrays": arrays.name, "log": log})
    fresh = folder / f"{LOG}.new"
    fresh.write_bytes(text)
    fresh.rename(folder / LOG)
    for old in folder.glob("epoch*.safetensors"):
        if old != arrays:
            old.unlink()


def restore(
    folder: Path, recipe: msgspec.Struct, kind: type[L], net: nn.Module, optimizer: optim.Optimizer
) -> Restored[L]:
    """Bring network and optimizer to the state kept; the log's lines are of `kind`.

    Raises UsageError where nothing was kept, or by another recipe or seed.
    """
    from safetensors.torch import load_file

    kept = folder / LOG
    if not kept.is_file():
        raise UsageError(f"{folder}: nothing to resume: no {LOG}; train without --resume")
    about = json.loads(kept.read_text(encoding="utf-8"))
    if about["recipe"] != json.loads(msgspec.json.encode(recipe)):
        raise UsageError(f"{folder}: was made by another recipe or seed; train without --resume")
    tensors = load_file(folder / about["arrays"])

    def part(prefix: str) -> dict[str, Tensor]:
        return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}

    net.load_state_dict(part("net."))
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in part("optimizer.").items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return Restored(msgspec.convert(about["log"], list[kind]), part("best."), part("extra."))  # type: ignore[valid-type]


def log_of(folder: Path, kind: type[L]) -> list[L]:
    """The epochs of a training whose checkpoint lies in `folder`; none where there is no checkpoint."""
    path = folder / LOG
    if not path.is_file():
        return []
    return msgspec.convert(json.loads(path.read_bytes())["log"], list[kind])  # type: ignore[valid-type]

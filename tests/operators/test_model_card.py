"""Model folders: found by path or name, read strictly, and never trusted blindly."""

import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from evpipe.errors import InputError, UsageError
from operators import model_card
from operators.model_card import read_arrays, read_card, resolve
from operators.nets.stored import load


def test_a_model_is_found_by_path_and_by_name(model, monkeypatch) -> None:
    assert resolve(str(model)) == model
    monkeypatch.setattr(model_card, "SHIPPED", model.parent)
    assert resolve("toy") == model
    with pytest.raises(UsageError, match="did you mean 'toy'"):
        resolve("tyo")


def test_an_unknown_name_lists_what_there_is(model, monkeypatch) -> None:
    monkeypatch.setattr(model_card, "SHIPPED", model.parent)
    with pytest.raises(UsageError, match="toy"):
        resolve("something_else")


def test_a_faulty_card_names_line_and_field(model) -> None:
    card = model / "model.yaml"
    card.write_text(card.read_text().replace("licence:", "license:"))
    with pytest.raises(UsageError, match=r"model\.yaml:\d+:1: no field 'license'; did you mean 'licence'"):
        read_card(model)


def test_weights_that_do_not_fit_are_refused(model) -> None:
    """Other names, shapes, types, and a cut file: each told with its name."""
    path = model / "weights.safetensors"
    whole, arrays = path.read_bytes(), load_file(path)
    name = "network.blocks.0.linear.weight"
    for change, expected in (
        ({name: arrays[name][:8]}, r"float32 \[8, 2, 3, 3\], not float32 \[16, 2, 3, 3\]"),
        ({name: arrays[name].astype("f8")}, "float64"),
        ({"network.more": np.zeros(1, "f4")}, "nothing asks for"),
    ):
        save_file({k: np.ascontiguousarray(v) for k, v in (arrays | change).items()}, path)
        with pytest.raises(InputError, match=expected):
            load(model, read_card(model))
    save_file({k: v for k, v in arrays.items() if k != name}, path)
    with pytest.raises(InputError, match=f"lacks '{name}'"):
        load(model, read_card(model))
    for cut in (0, 7, 100, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(InputError, match="not a whole safetensors file"):
            read_arrays(model, "network", {})


def test_reading_signatures_loads_no_heavy_library() -> None:
    """`check` looks at operators without torch, numba, cv2 or Qt."""
    code = (
        "import sys, operators.ta_snn, operators.temporal_bin\n"
        "from evpipe.operator import spec_of\n"
        "spec_of(operators.ta_snn.Classify), spec_of(operators.temporal_bin.TemporalBin)\n"
        "sys.exit(bool({'torch', 'numba', 'cv2', 'PySide6'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

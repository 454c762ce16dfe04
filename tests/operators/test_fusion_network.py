"""Fusion networks as recipes and cards state them."""

import subprocess
import sys

import msgspec
import pytest

from operators.fusion_network import LAYOUTS, FusionNetwork


def test_what_is_not_stated_is_that_of_the_kind() -> None:
    assert FusionNetwork(kind="tiny").layout == LAYOUTS["tiny"]
    layout = FusionNetwork(kind="s", size=(64, 48), layer_scale=0.0, route_hidden=8, norm="bn").layout
    assert (layout.size, layout.layer_scale, layout.hidden, layout.norm) == ((64, 48), 0.0, 8, "bn")
    assert layout.order == "post"
    assert layout.maps() == [(16, 12), (8, 6), (4, 3), (2, 2)]
    assert LAYOUTS["t"].maps((112, 112))[3] == (4, 4)
    assert FusionNetwork(kind="nano").blocks == 5


@pytest.mark.parametrize("fields", [{"kind": "huge"}, {"route_force": 3}, {"drop_path": 1.0}, {"colour": 1}])
def test_what_makes_no_network_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(fields, FusionNetwork)


def test_it_is_read_without_torch() -> None:
    code = (
        "import sys, operators.fusion_network, operators.event_picture; print({'torch', 'numba'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"

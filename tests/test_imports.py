"""Dependencies point one way, and what a person starts loads only what it needs."""

import ast
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# What each part of the tree may import of this repository, besides itself. The longest matching name decides.
FOUNDATION = {"evpipe.packets", "evpipe.operator", "evpipe.errors"}
MAY_IMPORT = {
    "evpipe": {"evpipe.packets", "evpipe.operator", "evpipe.build"},
    "evpipe.build": FOUNDATION | {"evpipe.graph", "evpipe.link", "evpipe.run"},
    "evpipe.__main__": {"evpipe.cli"},
    "evpipe.errors": set(),
    "evpipe.cache": set(),
    "evpipe.packets": set(),
    "evpipe.operator": {"evpipe.packets"},
    "evpipe.link": FOUNDATION,
    "evpipe.graph": FOUNDATION | {"evpipe.link.policy", "evpipe"},
    "evpipe.run": FOUNDATION | {"evpipe.link", "evpipe.graph", "evpipe.cache", "evpipe"},
    "evpipe.view": FOUNDATION,
    "evpipe.net": FOUNDATION | {"evpipe.link", "evpipe.run.node"},
    "evpipe.recorder": FOUNDATION | {"sensors.formats", "sensors.writers"},
    "evpipe.batch": FOUNDATION | {"evpipe", "evpipe.graph", "evpipe.run", "operators.model_card"},
    "evpipe.cli": {"evpipe", "sensors", "operators"},
    "sensors": FOUNDATION | {"evpipe"},
    "sensors.formats.session": FOUNDATION | {"evpipe.recorder.session_file", "sensors"},
    "operators": FOUNDATION | {"evpipe", "evpipe.models"},
    "operators.learn": FOUNDATION | {"evpipe", "evpipe.models", "operators", "sensors"},
}
# Parts that a whole prefix allows: "evpipe" alone means the package's own names (its version, Events, Operator...).
WHOLE = {"evpipe.cli": ("evpipe.", "sensors.", "operators.")}

HEAVY = {"torch", "cv2", "numba", "PySide6", "pyqtgraph"}
# Modules that exist to use a heavy library, and are imported only when one is wanted.
HEAVY_HOMES = (
    "sensors.kernels.",
    "operators.kernels.",
    "operators.nets.",
    "operators.streaming.",
    "operators.engines.",
    "operators.bench.",
    "operators.learn.",
    "evpipe.view.",
)


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the three packages, with its file."""
    for package in ("evpipe", "sensors", "operators"):
        for file in sorted((ROOT / package).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), file


MODULES = dict(modules())


def imported(name: str, file: Path, *, top: bool = False) -> Iterator[str]:
    """Names that a module imports, also inside functions (unless `top`); `from a import b` gives a.b if a module."""
    tree = ast.parse(file.read_text("utf-8"))
    for node in tree.body if top else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else str(node.module)


def part_of(name: str) -> str:
    """The part of the tree that a module belongs to."""
    fits = [part for part in MAY_IMPORT if name == part or (part != "evpipe" and name.startswith(part + "."))]
    assert fits, f"{name} belongs to no part of the tree: state in tests/test_imports.py what it may import"
    return max(fits, key=len)


def allowed(part: str, other: str) -> bool:
    """Whether a part may import a module of this repository."""
    if other == part or (part != "evpipe" and other.startswith(part + ".")):
        return True
    if other.startswith(WHOLE.get(part, ())):
        return True
    return any(other == name or (name != "evpipe" and other.startswith(name + ".")) for name in MAY_IMPORT[part])


@pytest.mark.parametrize("name", MODULES)
def test_dependencies_point_one_way(name: str) -> None:
    """The order is cli -> run -> link -> packets; sensors and operators know packets and operators, and no runtime."""
    part = part_of(name)
    ours = {
        other for other in imported(name, MODULES[name]) if other.split(".")[0] in ("evpipe", "sensors", "operators")
    }
    assert sorted(other for other in ours if not allowed(part, other)) == []


@pytest.mark.parametrize("name", [name for name in MODULES if not name.startswith(HEAVY_HOMES)])
def test_heavy_libraries_are_imported_late(name: str) -> None:
    """Signatures are read without torch, Qt, OpenCV and numba."""
    top = {other.split(".")[0] for other in imported(name, MODULES[name], top=True)}
    assert sorted(top & HEAVY) == []


def test_evpipe_is_imported_quickly_and_alone() -> None:
    """`import evpipe` takes less than 60 ms more than a bare Python, as medians, and loads nothing heavy."""
    bare, with_evpipe = [], []
    for _ in range(9):
        for code, taken in (("pass", bare), ("import evpipe", with_evpipe)):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            taken.append(time.perf_counter() - start)
    assert sorted(with_evpipe)[4] - sorted(bare)[4] < 0.06
    code = f"import sys, evpipe; print(sorted({HEAVY | {'numpy'}!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    "name", ["evpipe.view", "evpipe.recorder", "sensors.auto", "sensors.replay", "operators.ta_snn"]
)
def test_operators_are_light_to_import(name: str) -> None:
    """What `evpipe check` imports loads nothing heavy, its own imports included."""
    code = f"import sys, {name}; print(sorted({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_names_of_evpipe_are_those_of_its_modules() -> None:
    """`evpipe.Events` is resolved on first use; another name is refused in words."""
    import evpipe
    from evpipe.packets import Events

    assert evpipe.Events is Events
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = evpipe.Nothing

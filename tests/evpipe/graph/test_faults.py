"""Every mistake in a graph file gives its own message, with place, rule, value found and the nearest spelling."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from evpipe.graph.faults import Fault, GraphFaultsError, nearest
from evpipe.graph.load import load_graph

MISTAKES = YAML(typ="safe").load(Path(__file__).with_name("mistakes.yaml"))


def faults_of(app: str = "graph.yaml", **options: object) -> list[Fault]:
    """The faults of a graph that has some."""
    with pytest.raises(GraphFaultsError) as caught:
        load_graph(app, **options)
    return caught.value.faults


def brief(fault: Fault) -> str:
    """Place, message and hint in one line."""
    head = str(fault).splitlines()[0]
    return f"{head} | {fault.hint}" if fault.hint else head


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_has_its_message(project: Path, name: str) -> None:
    """One mutated line gives exactly these faults and no others."""
    mistake, file = MISTAKES[name], project / "graph.yaml"
    assert mistake["good"] in file.read_text()
    file.write_text(file.read_text().replace(mistake["good"], mistake["bad"], 1))
    assert [brief(fault) for fault in faults_of()] == [
        line.replace("{here}", str(project)) for line in mistake["faults"]
    ]


def test_the_text_shows_the_line_with_a_caret(project: Path) -> None:
    """The excerpt has the line as written, and carets under what is meant."""
    file = project / "graph.yaml"
    file.write_text(file.read_text().replace("model: ta_snn_sim", "modle: ta_snn_sim").replace("in: bins", "in: bin"))
    with pytest.raises(GraphFaultsError) as caught:
        load_graph("graph.yaml")
    assert str(caught.value) == (
        "graph.yaml:12:9: node 'har', input: 'bin' names no node\n"
        "   12 |     in: bin\n"
        "      |         ^^^ did you mean 'bins'?\n"
        "graph.yaml:13:12: node 'har', parameter 'modle': ./ops.py:Classify has no such parameter\n"
        "   13 |     with: {modle: ta_snn_sim}\n"
        "      |            ^^^^^ did you mean 'model'?  it takes: model, device, share"
    )


def test_all_mistakes_show_in_one_pass(project: Path) -> None:
    """Mistakes of different lines do not hide each other."""
    file = project / "graph.yaml"
    text = file.read_text()
    changes = {
        "clock: live": "clock: liv",
        "window: 480ms": "window: 480 kB",
        "use: ./ops.py:Classify": "use: ./ops.py:Clasify",
        "frame: camera.frame?": "frame: camera.fram?",
        "use: ./ops.py:Window": "use: ./ops.py:Window\n    polcy: newest",
    }
    for good, bad in changes.items():
        text = text.replace(good, bad, 1)
    file.write_text(text)
    assert [(fault.place.line, fault.node) for fault in faults_of()] == [
        (3, ""),
        (9, "bins"),
        (11, "har"),
        (16, "window"),
        (17, "window"),
    ]


def test_a_tab_before_the_place_keeps_the_caret_below_it(project: Path) -> None:
    """The caret line repeats the line's own indent."""
    (project / "tab.yaml").write_text("evpipe: 1\nnodes: {\n\tcamera: {use: ./ops.py:Camra}}\n")
    assert str(faults_of("tab.yaml")[0]).splitlines()[1:] == [
        "    3 | \tcamera: {use: ./ops.py:Camra}}",
        "      | \t              ^^^^^^^^^^^^^^ did you mean 'Camera'?",
    ]


@pytest.mark.parametrize("text", ["", "# nothing\n", "3\n", "- a\n", "evpipe\n", "nodes:\n"])
def test_a_file_that_is_no_graph(project: Path, text: str) -> None:
    """Files that hold something else are refused in words."""
    (project / "odd.yaml").write_text(text)
    assert all("odd.yaml" in str(fault) for fault in faults_of("odd.yaml"))


def test_bytes_that_are_no_text(project: Path) -> None:
    """A recording given as a graph says so."""
    (project / "odd.yaml").write_bytes(b"evpipe: \xff\xfe")
    assert [brief(fault) for fault in faults_of("odd.yaml")] == ["odd.yaml: byte 8 is not UTF-8 text"]


def test_a_circle_is_shown_whole(project: Path) -> None:
    """The message names all nodes of the circle; others in order stay out of it."""
    (project / "circle.yaml").write_text(
        "evpipe: 1\nnodes:\n  camera: {use: ./ops.py:Camera}\n"
        "  a: {use: ./ops.py:polarity, in: [camera.events, c]}\n"
        "  b: {use: ./ops.py:polarity, in: a}\n"
        "  c: {use: ./ops.py:polarity, in: b}\n"
        "  d: {use: ./ops.py:polarity, in: c}\n"
        "  e: {use: ./ops.py:polarity, in: e}\n"
    )
    assert [brief(fault) for fault in faults_of("circle.yaml")] == [
        "circle.yaml:4:51: node 'a', input: the graph goes in a circle: a -> b -> c -> a",
        "circle.yaml:8:35: node 'e', input: the graph goes in a circle: e -> e",
    ]


def test_labels_that_make_workers_wait_for_each_other(project: Path) -> None:
    """A label before and after a node of another worker is a circle of workers."""
    file = project / "graph.yaml"
    text = file.read_text().replace("{use: ./ops.py:Camera}", "{use: ./ops.py:Camera, worker: a}")
    file.write_text(text.replace("    in: bins\n", "    in: bins\n    worker: a\n"))
    assert [brief(fault) for fault in faults_of()] == [
        "graph.yaml:5:42: node 'camera', worker: these would wait for each other: worker a -> bins -> worker a | "
        "give the nodes between them the same worker"
    ]


def test_two_windows_cannot_share_a_worker(project: Path) -> None:
    """A process has one main thread."""
    file = project / "graph.yaml"
    label = "    worker: w\n"
    file.write_text(f"{file.read_text()}{label}  other:\n    use: ./ops.py:Window\n    in: bins\n{label}")
    assert [brief(fault) for fault in faults_of()] == [
        "graph.yaml:21:13: node 'other', worker: 'window' in worker w owns the main thread already, "
        "and so would this node"
    ]


def test_nearest_is_only_what_is_near() -> None:
    """Nothing is suggested for a word like no other."""
    assert nearest("bin", ["bins", "har"]) == "bins"
    assert nearest("Sensor", ["sensor"]) == "sensor"
    assert nearest("zebra", ["bins", "har"]) is None
    assert nearest("x", []) is None

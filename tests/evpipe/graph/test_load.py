"""A good graph file, its overlays and variables, and the options that change it."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from evpipe.errors import GraphError
from evpipe.graph import load as loading
from evpipe.graph.faults import GraphFaultsError
from evpipe.graph.load import load_graph
from evpipe.graph.model import Graph
from evpipe.link.policy import Policy


@pytest.fixture
def own_replay(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    """A Replay of the test's own, so that these tests need no reader of recordings."""
    with (project / "ops.py").open("a") as file:
        file.write(
            "\n\nclass Replay(Source):\n"
            "    def __init__(self, path: str, from_us: int = 0, to_us: int | None = None) -> None: ...\n"
            "    def stream(self) -> Iterator[Events | Frame | Scores]: ...\n"
        )
    monkeypatch.setattr(loading, "REPLAY", "./ops.py:Replay")


def wires(graph: Graph) -> list[str]:
    """Edges in short."""
    return [f"{e.origin}{'?' if e.optional else ''} -> {e.target}.{e.input}" for e in graph.edges]


def test_a_graph_is_read(project: Path) -> None:
    """Nodes stand after those they hear, parameters are of their types, places are told."""
    graph = load_graph("graph.yaml")
    assert (graph.name, graph.clock, graph.path) == ("demo", "live", "graph.yaml")
    assert [node.id for node in graph.nodes] == ["camera", "bins", "har", "window"]
    assert graph.node("bins").params == {"window_us": 480_000, "size": (32, 32)}
    assert graph.node("bins").where == "graph.yaml:6:3"
    assert graph.node("bins").use == f"{project / 'ops.py'}:Bins"
    assert wires(graph) == [
        "camera.events -> bins.events",
        "bins.tensor -> har.tensor",
        "camera.events -> window.events",
        "camera.frame? -> window.frame",
        "bins.tensor -> window.tensor",
        "har.scores -> window.scores",
    ]


def test_nodes_may_stand_in_any_order(project: Path) -> None:
    """The order of the file is kept where the edges allow it."""
    (project / "turned.yaml").write_text(
        "evpipe: 1\nnodes:\n  b: {use: ./ops.py:polarity, in: a}\n  a: {use: ./ops.py:polarity, in: camera.events}\n"
        "  z: {use: ./ops.py:Camera}\n  camera: {use: ./ops.py:Camera}\n"
    )
    assert [node.id for node in load_graph("turned.yaml").nodes] == ["z", "camera", "a", "b"]


def test_all_forms_of_in(project: Path) -> None:
    """One port, a list, a mapping, lists and policies in it, `from`, ports of a NamedTuple, a second stream."""
    (project / "forms.yaml").write_text(
        "evpipe: 1\nnodes:\n"
        "  camera: {use: ./ops.py:Camera}\n"
        "  halves: {use: ./ops.py:split, in: camera.events, with: {column: 3}}\n"
        "  one: {use: ./ops.py:polarity, in: [halves.left, halves.right]}\n"
        "  two: {use: ./ops.py:polarity, in: {events: [one, {from: camera.events_1?, policy: newest}]}}\n"
        "  fuse: {use: ./ops.py:Fuse, in: [camera.events, camera.frame]}\n"
        "  keep: {use: ./ops.py:Keep, in: {from: [camera.frame, fuse], policy: {kind: lossless, buffer: 1 MiB}}}\n"
        "  named: {use: ./ops.py:Keep, in: {frame: camera.frame, any: [fuse, two]}}\n"
    )
    graph = load_graph("forms.yaml")
    assert wires(graph) == [
        "camera.events -> halves.events",
        "halves.left -> one.events",
        "halves.right -> one.events",
        "one.events -> two.events",
        "camera.events_1? -> two.events",
        "camera.events -> fuse.events",
        "camera.frame -> fuse.frame",
        "camera.frame -> keep.any",
        "fuse.boxes -> keep.any",
        "camera.frame -> named.any",
        "fuse.boxes -> named.any",
        "two.events -> named.any",
    ]
    assert graph.edges[4].policy == Policy(kind="newest")
    assert graph.edges[3].policy is None
    assert graph.edges[7].policy == graph.edges[8].policy == Policy(kind="lossless", buffer=2**20)


def test_policy_of_a_node_and_of_an_input(project: Path) -> None:
    """An input's own policy comes before its node's."""
    file = project / "graph.yaml"
    text = file.read_text().replace("tensor: bins", "tensor: {from: bins, policy: lossless}")
    file.write_text(text + "    policy: {kind: keep_up, max_age: 100ms, depth: 3}\n")
    policies = [edge.policy for edge in load_graph("graph.yaml").inputs_of("window")]
    keep_up = Policy(kind="keep_up", max_age_us=100_000, depth=3)
    assert policies == [keep_up, keep_up, Policy(kind="lossless"), keep_up]


def test_variables_are_read_as_yaml_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a variable holds may be a number, and its default stands for an empty one."""
    file = project / "graph.yaml"
    file.write_text(file.read_text().replace("480ms", '"${WINDOW:-320ms}"').replace("32]", '"${SIDE}"]'))
    monkeypatch.setenv("SIDE", "64")
    monkeypatch.setenv("WINDOW", "")
    assert load_graph("graph.yaml").node("bins").params == {"window_us": 320_000, "size": (32, 64)}
    monkeypatch.delenv("SIDE")
    with pytest.raises(GraphError, match="the environment has no variable SIDE"):
        load_graph("graph.yaml")


def test_anchors_and_merge_keys(project: Path) -> None:
    """A merged key keeps the line of its anchor; a node's own key wins."""
    (project / "merged.yaml").write_text(
        "evpipe: 1\nnodes:\n  camera: {use: ./ops.py:Camera}\n"
        "  a: &a\n    use: ./ops.py:polarity\n    in: camera.events\n    with: {keep: on}\n"
        "  b:\n    <<: *a\n    in: a\n"
    )
    graph = load_graph("merged.yaml")
    assert graph.node("b").params == {"keep": "on"}
    assert wires(graph)[1] == "a.events -> b.events"
    file = project / "merged.yaml"
    file.write_text(file.read_text().replace("keep: on", "keep: om"))
    with pytest.raises(GraphFaultsError) as caught:
        load_graph("merged.yaml")
    assert [(fault.node, fault.place.line) for fault in caught.value.faults] == [("a", 7), ("b", 7)]


def test_an_overlay_changes_what_it_names(project: Path) -> None:
    """Nodes are merged key by key, null removes, another `use` begins with no parameters."""
    (project / "more").mkdir()
    (project / "more" / "over.yaml").write_text(
        "extends: ../graph.yaml\nname: over\nnodes:\n  window: null\n"
        "  bins: {with: {window: 320ms}, worker: w}\n"
        "  har: {use: ../ops.py:polarity, in: camera.events}\n"
        "  keep: {use: ../ops.py:Keep, in: har}\n"
    )
    graph = load_graph("more/over.yaml")
    assert (graph.name, graph.clock) == ("over", "live")
    assert [node.id for node in graph.nodes] == ["camera", "bins", "har", "keep"]
    assert graph.node("bins").params == {"window_us": 320_000, "size": (32, 32)}
    assert graph.node("bins").worker == "w"
    assert graph.node("har").params == {}


def test_faults_of_an_overlay_name_the_file_they_are_in(project: Path) -> None:
    """A fault in the extended file has that file's line."""
    (project / "over.yaml").write_text("extends: graph.yaml\nnodes:\n  bins: {with: {windw: 1}}\n")
    file = project / "graph.yaml"
    file.write_text(file.read_text().replace("ta_snn_sim", "3"))
    with pytest.raises(GraphFaultsError) as caught:
        load_graph("over.yaml")
    places = {(fault.place.origin, fault.place.line, fault.field) for fault in caught.value.faults}
    assert places == {("over.yaml", 3, "parameter 'windw'"), ("graph.yaml", 13, "parameter 'model'")}


def test_an_overlay_of_a_named_app(project: Path) -> None:
    """`extends` finds an app by its name, too."""
    (project / "apps").mkdir()
    (project / "graph.yaml").rename(project / "apps" / "mine.yaml")
    (project / "ops.py").rename(project / "apps" / "ops.py")
    (project / "over.yaml").write_text("extends: mine\nname: over\n")
    assert load_graph("over.yaml").name == "over"
    assert load_graph("mine").path == "apps/mine.yaml"


def test_an_unknown_app_lists_what_there_is(project: Path) -> None:
    """The nearest name is suggested, of apps here and of those that evpipe brings."""
    with pytest.raises(
        GraphFaultsError, match=r"har_liv: no app of this name.*\n.*did you mean 'har_live'\?"
    ) as caught:
        load_graph("har_liv")
    assert caught.value.exit_code == 2
    with pytest.raises(GraphFaultsError, match=r"grph.yaml: no such graph file\n.*did you mean 'graph.yaml'\?"):
        load_graph("grph.yaml")
    with pytest.raises(GraphFaultsError, match="there is no folder nowhere"):
        load_graph("nowhere/graph.yaml")
    with pytest.raises(GraphFaultsError, match="is a folder"):
        load_graph(".")


def test_set_changes_parameters_and_reserved_names(project: Path) -> None:
    """--set takes YAML, with and without the unit's suffix, and wins over the file."""
    changes = ["bins.window_us=160ms", "bins.size=[8, 8]", "har.policy={kind: newest}", "har.worker=gpu"]
    graph = load_graph("graph.yaml", set_=[*changes, "har.on_error=skip", "har.share=25%"])
    assert graph.node("bins").params == {"window_us": 160_000, "size": (8, 8)}
    assert graph.node("har").params == {"model": "ta_snn_sim", "share": 0.25}
    assert (graph.node("har").worker, graph.node("har").on_error) == ("gpu", "skip")
    assert graph.inputs_of("har")[0].policy == Policy(kind="newest")


@pytest.mark.parametrize(
    ("option", "fault"),
    [
        ("bins", "--set bins: takes NODE.PARAMETER=VALUE, such as bins.hop=5ms"),
        ("bins=3", "--set bins=3: takes NODE.PARAMETER=VALUE, such as bins.hop=5ms"),
        ("bin.hop=3", "--set bin.hop=3: 'bin' names no node"),
        ("bins.hopp=3", "--set bins.hopp=3: node 'bins', parameter 'hopp': ./ops.py:Bins has no such parameter"),
        ("bins.hop=3 kB", "--set bins.hop=3 kB: node 'bins', parameter 'hop': takes a number in us, found '3 kB'"),
        ("bins.size=[", "--set bins.size=[: not YAML: expected the node content, but found '<stream end>'"),
        ("bins.host=a", "--set bins.host=a: node 'bins', host: several machines are not in this version"),
    ],
)
def test_a_wrong_set_names_itself(project: Path, option: str, fault: str) -> None:
    """The place of such a fault is the option."""
    with pytest.raises(GraphFaultsError) as caught:
        load_graph("graph.yaml", set_=[option])
    assert [str(each).splitlines()[0] for each in caught.value.faults] == [fault]


@pytest.mark.usefixtures("own_replay")
def test_replay_stands_in_for_the_sources(project: Path) -> None:
    """The recording takes the source's place, and the clock follows unless it is given."""
    graph = load_graph("graph.yaml", replay=["clip.raw"], set_=["camera.from_us=5"])
    assert graph.node("camera").params == {"path": "clip.raw", "from_us": 5}
    assert graph.clock == "replay"
    assert wires(graph)[0] == "camera.events -> bins.events"
    assert load_graph("graph.yaml", replay=["clip.raw"], clock="fast").clock == "fast"
    (project / "a=b.raw").touch()
    graph = load_graph("graph.yaml", replay=["a=b.raw"], from_us=1, to_us=2)
    assert graph.node("camera").params == {"path": "a=b.raw", "from_us": 1, "to_us": 2}


@pytest.mark.usefixtures("own_replay")
def test_replay_of_one_source_of_two(project: Path) -> None:
    """NODE=FILE leaves the other source; a name that is none is a fault."""
    file = project / "graph.yaml"
    file.write_text(file.read_text() + "  other: {use: ./ops.py:Camera}\n")
    graph = load_graph("graph.yaml", replay=["other=x.raw"])
    assert (graph.node("camera").spec.name, graph.node("other").params) == ("./ops.py:Camera", {"path": "x.raw"})
    both = load_graph("graph.yaml", replay=["x.raw"])
    assert both.node("camera").params == both.node("other").params == {"path": "x.raw"}
    with pytest.raises(GraphFaultsError, match=r"--replay bins=x.raw: 'bins' is not a source"):
        load_graph("graph.yaml", replay=["bins=x.raw"])
    with pytest.raises(GraphFaultsError, match=r"--replay oter=x.raw: 'oter' names no node\n.*did you mean 'other'\?"):
        load_graph("graph.yaml", replay=["oter=x.raw"])


@pytest.mark.usefixtures("own_replay")
def test_replay_needs_no_driver_of_the_camera(project: Path) -> None:
    """A source that cannot be imported here can be replayed all the same."""
    file = project / "graph.yaml"
    file.write_text(file.read_text().replace("./ops.py:Camera", "some_vendor.sdk.Camera"))
    with pytest.raises(GraphFaultsError, match="there is no module 'some_vendor'"):
        load_graph("graph.yaml")
    assert load_graph("graph.yaml", replay=["x.raw"]).node("camera").params == {"path": "x.raw"}


def test_record_adds_a_recorder(project: Path) -> None:
    """Every port of sources and every Scores and Boxes port is recorded, if it turns out to exist."""
    graph = load_graph("graph.yaml", record="out", set_=["recorder.force=true"])
    assert graph.node("recorder").params == {"path": "out", "force": True}
    assert graph.nodes[-1].id == "recorder"
    assert wires(graph)[-3:] == [
        "camera.events? -> recorder.any",
        "camera.frame? -> recorder.any",
        "har.scores? -> recorder.any",
    ]


def test_headless_takes_windows_away(project: Path) -> None:
    """Windows go with their edges; options meant for them do no harm."""
    graph = load_graph("graph.yaml", headless=True, set_=["window.worker=w"])
    assert [node.id for node in graph.nodes] == ["camera", "bins", "har"]
    assert {edge.target for edge in graph.edges} == {"bins", "har"}


def test_seed_and_camera_reach_those_that_have_them(project: Path) -> None:
    """A seed given in the file stays; a camera is for sources alone."""
    graph = load_graph("graph.yaml", seed=7, camera="DVX1", set_=["bins.seed=3"])
    assert graph.node("camera").params == {"seed": 7, "camera": "DVX1"}
    assert graph.node("bins").params["seed"] == 3
    assert "seed" not in graph.node("har").params
    with pytest.raises(GraphFaultsError, match="--to: no source of this graph has the parameter 'to_us'"):
        load_graph("graph.yaml", to_us=3)


def test_clock_of_the_command_line_wins(project: Path) -> None:
    """Without any clock a graph is live."""
    assert load_graph("graph.yaml", clock="fast").clock == "fast"
    file = project / "graph.yaml"
    file.write_text(file.read_text().replace("clock: live\n", ""))
    assert load_graph("graph.yaml").clock == "live"
    with pytest.raises(GraphFaultsError, match=r"--clock fst: no such clock\n.*did you mean 'fast'\?"):
        load_graph("graph.yaml", clock="fst")


def test_check_is_quick_and_loads_nothing_heavy() -> None:
    """The main app is checked in under half a second, process start included, without torch, Qt, cv2 or numba.

    Processor time, so that other work on the machine does not count.
    """
    code = (
        "import sys\nfrom evpipe.graph.load import load_graph\nload_graph('har_live')\n"
        "print([m for m in ('torch', 'cv2', 'numba', 'PySide6', 'pyqtgraph') if m in sys.modules])"
    )
    taken = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert (done.stdout, done.stderr) == ("[]\n", "")
    assert min(taken) < 0.5

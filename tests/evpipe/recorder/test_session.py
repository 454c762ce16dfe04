"""A recorded node as a source: its packets as they were, from any time, and what is said when that cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from evpipe.errors import InputError, UsageError
from evpipe.operator import spec_of
from evpipe.packets import Boxes, Events, Mark, Scores
from evpipe.recorder.session import Session
from evpipe.recorder.session_file import SessionFile, is_session
from evpipe.recorder.session_writer import SessionWriter


def stream(path, **parameters):
    source = Session(str(path), **parameters)
    source.open()
    found = list(source.stream())
    source.close()
    return found


@pytest.mark.parametrize("node", ["camera", "pair", "bins", "har", "detect"])
def test_each_node_gives_what_was_recorded_of_it(session, recorded, equal, node):
    """Every packet of every port, in order; the camera's with the gaps that the recorder was told of."""
    expected = [packet for origin, packet in recorded if origin.split(".")[0] == node]
    if node == "camera":
        expected = [p for origin, p in recorded if origin.split(".")[0] == node or isinstance(p, Mark)]
    equal(stream(session, node=node), expected)


def test_ports_are_those_recorded(session):
    """Known once it is open, so that the edges of ports that are not there fall away."""
    for node, ports in (("camera", ["events", "frame", "imu", "triggers"]), ("har", ["scores"])):
        source = Session(str(session), node)
        source.open()
        assert source.ports() == ports
        source.close()
    assert set(spec_of(Session).outputs) == {
        "events", "frame", "frame_pair", "triggers", "imu", "tensor", "scores", "boxes"
    }  # fmt: skip


def test_a_range_counts_from_the_first_event_of_the_file(session, recorded):
    """For every node alike, so that a camera and a classifier of one file stay together."""
    first = next(int(p.t[0]) for _, p in recorded if isinstance(p, Events) and len(p))
    for node, kind in (("camera", Events), ("har", Scores)):
        found = [p for p in stream(session, node=node, from_us=1_000_000, to_us=1_500_000) if isinstance(p, kind)]
        expected = [p.t1_us for _, p in recorded if isinstance(p, kind)
                    and first + 1_000_000 < p.t1_us <= first + 1_500_000]  # fmt: skip
        assert [p.t1_us for p in found] == expected
        assert len(expected) == 25
    source = Session(str(session), "har")
    source.open()
    assert source.zero_us == first
    source.seek(2_000_000)
    assert next(iter(source.stream())).t1_us > first + 2_000_000
    source.close()


def test_time_that_does_not_begin_at_zero(tmp_path, kinds):
    """Cameras count from when they were switched on."""
    writer = SessionWriter(tmp_path / "a")
    for k in range(100):
        begin = 7_000_000 + 20_000 * k
        for origin, packet in kinds(np.random.default_rng(k + 1), begin, begin + 20_000, k):
            writer.packet(packet, origin)
    writer.close()
    times = [p.t1_us for p in stream(tmp_path / "a.mcap", node="detect", from_us=1_000_000, to_us=1_500_000)]
    assert times[0] in (8_020_000, 8_040_000)
    assert len(times) == 25


def test_without_the_node_its_only_source_is_taken(session, recorded, equal):
    """And that is said; a graph may call its camera otherwise."""
    said = []
    source = Session(str(session), "cam")
    source.context = type("Context", (), {"say": lambda self, text: said.append(text)})()
    source.open()
    events = [p for p in source.stream() if isinstance(p, Events)]
    source.close()
    equal(events, [p for _, p in recorded if isinstance(p, Events)])
    assert said == [f"{session} has no node 'cam': its source 'camera' is replayed"]


def test_where_it_is_not_clear_which_node_is_meant(tmp_path, kinds):
    """Two cameras, and neither is called so: the nodes and ports of the file are told."""
    writer = SessionWriter(tmp_path / "a")
    for origin in ("left.events", "right.events"):
        writer.packet(kinds(np.random.default_rng(0), 0, 1000)[0][1], origin)
    writer.close()
    with pytest.raises(InputError, match=r"no packets of node 'cam'.*it has left: events; right: events\. Name one"):
        stream(tmp_path / "a.mcap", node="cam")
    assert len(stream(tmp_path / "a.mcap", node="right")) == 1


def test_ports_with_names_of_their_own_are_left_out(tmp_path, kinds):
    """`halves.left` carries events, but a source gives those as `events`."""
    packet = kinds(np.random.default_rng(0), 0, 1000)[0][1]
    writer = SessionWriter(tmp_path / "a")
    writer.packet(packet, "halves.left")
    writer.close()
    with pytest.raises(InputError, match="it has nothing"):
        stream(tmp_path / "a.mcap", node="halves")


def test_a_cut_file_gives_its_whole_chunks_and_then_says_so(session, recorded, equal):
    """The byte, what is missing, and what makes a whole file of it."""
    data = session.read_bytes()
    session.write_bytes(data[: len(data) // 2])
    source, found = Session(str(session), "detect"), []
    source.open()
    with pytest.raises(InputError, match=r"damaged at byte \d+: the file ends.*`evpipe recover .*a\.mcap` makes"):
        found.extend(source.stream())  # what came before the error stays
    source.close()
    expected = [p for _, p in recorded if isinstance(p, Boxes)]
    assert 20 < len(found) < len(expected)
    equal(found, expected[: len(found)])


def test_what_is_no_session_is_refused(tmp_path, session):
    """By its writer's name; sessions are told by their first bytes."""
    other = tmp_path / "other.mcap"
    other.write_bytes(session.read_bytes().replace(b"\x06\0\0\0evpipe", b"\x06\0\0\0others", 1))
    with pytest.raises(InputError, match=r"written by 'others', no session that evpipe recorded"):
        stream(other)
    assert is_session(str(session))
    assert Session.holds(str(session))
    assert not is_session(str(other))
    assert not is_session(str(tmp_path / "none"))
    with pytest.raises(UsageError, match=r"to \(5 us\) must be later than from \(9 us\)"):
        Session(str(session), from_us=9, to_us=5)


def test_packets_of_several_nodes_and_how_many_were_left_out(session, recorded, equal):
    """`SessionFile.packets` gives the nodes asked for in order of the file, and counts the rest by topic."""
    file = SessionFile(str(session))
    found = list(file.packets(frozenset({"har", "detect"})))
    equal([one.packet for one in found], [p for o, p in recorded if o in ("har.scores", "detect.boxes")])
    assert file.left_out["/camera/frame"] == 150
    assert file.sensors == ["camera"]
    file.close()

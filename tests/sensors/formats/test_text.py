"""Events as text: headers, orders, units to the last digit, lines that are none, any cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.errors import InputError
from sensors.formats.detect import open_reader

EVENTS = [(1000 + 7 * k * k, k * 3 % 240, k * 5 % 180, k % 2) for k in range(40)]


@pytest.fixture
def write(tmp_path):
    def make(text: str | bytes, name: str = "events.csv"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / name

    return make


def lines(order="txyp", sep=",", seconds=False, signed=False, end="\n") -> str:
    said = ""
    for t, x, y, p in EVENTS:
        row = {
            "t": f"{t / 1e6:.9f}" if seconds else str(t),
            "x": str(x),
            "y": str(y),
            "p": str(2 * p - 1 if signed else p),
        }
        said += sep.join(row[name] for name in order) + end
    return said


@pytest.mark.parametrize("sep", [",", " ", "\t", "; "])
@pytest.mark.parametrize(
    "head", ["", "t,x,y,p\n", "timestamp x y polarity\n", "# t x y p\n", "# a remark\n\n% more\n", "\ufeff"]
)
def test_separators_and_headers(sep, head, write, read_whole) -> None:
    found = read_whole(write(head + lines(sep=sep)))
    assert found.rows == EVENTS
    assert (found.reader.format, found.reader.width, found.reader.height) == ("TEXT", 240, 180)
    assert not found.damage


@pytest.mark.parametrize("order", ["txyp", "xytp", "xypt"])
def test_orders_show(order, write, read_whole) -> None:
    assert read_whole(write(lines(order, signed=True))).rows == EVENTS
    assert read_whole(write("x,y,pol,extra,t\n" + lines("xypxt"))).rows == EVENTS


def test_the_ros_form_of_seconds(write, read_whole) -> None:
    """`t[s] x y p` as the rpg data sets have it, with the sensor in the first line or not."""
    for head in ("", "240 180\n", "t[s],x,y,p\n"):
        found = read_whole(write(head + lines(sep=" ", seconds=True), "events.txt"))
        assert found.rows == EVENTS
        assert found.notes["times in s, turned to us"] == 40
        assert (found.reader.width, found.reader.height) == (240, 180)
    epoch = (
        "1468941032.229165635 3 4 1\n1468941032.229166500 5 6 0\n1468941032.2291664999 5 6 0\n1.4689410325e+09 7 8 1\n"
    )
    found = read_whole(write(epoch, "events.txt"))
    base = 1468941032000000
    assert found.rows == [
        (base + 229166, 3, 4, 1),
        (base + 229167, 5, 6, 0),
        (base + 229166, 5, 6, 0),
        (base + 500000, 7, 8, 1),
    ]


def test_numbers_as_numpy_writes_them(write, tmp_path, read_whole) -> None:
    np.savetxt(tmp_path / "a.txt", np.array(EVENTS))
    assert read_whole(tmp_path / "a.txt").rows == EVENTS
    np.savetxt(tmp_path / "a.txt", np.array(EVENTS) * [1000, 1, 1, 1] + [10**18, 0, 0, 0], fmt="%d")
    found = read_whole(tmp_path / "a.txt")
    assert found.rows == [(10**15 + t, x, y, p) for t, x, y, p in EVENTS]


def test_the_size_in_a_header(write, read_whole) -> None:
    found = read_whole(write("t,x@320,y@240,on\n" + lines()))
    assert (found.reader.width, found.reader.height) == (320, 240)
    assert found.rows == EVENTS
    assert not found.notes


@pytest.mark.parametrize("block_bytes", [2**20, 300])
def test_lines_that_are_none_are_counted_with_the_first_place(block_bytes, write, read_whole) -> None:
    text = lines()
    bad = text + "1,2,3\nhello\n5,6,7,8x\n" + "9" * 5000 + "\n-1,500,4,1\n2000000,1,1,1"
    found = read_whole(write(bad), size=(180, 240), block_bytes=block_bytes)
    assert found.rows == [*EVENTS, (2000000, 1, 1, 1)]
    first, outside = found.damage
    assert first.offset == len(text)
    assert first.what.startswith("4 lines" if block_bytes > 5000 else "")
    assert outside.offset == bad.index("-1,500")
    assert outside.what.startswith("1 events lie outside")


def test_cut_at_every_byte(write, read_whole) -> None:
    """The last line may be cut inside a number, which cannot be seen; all others are whole."""
    text = lines().encode()
    for size in range(len(text) // 2, len(text)):
        found = read_whole(write(text[:size]))
        n = text[:size].count(b"\n")
        assert found.rows[:n] == EVENTS[:n]
        assert len(found.rows) - n in (0, 1)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 10**15), st.integers(0, 345), st.integers(0, 259), st.booleans()),
        min_size=1,
        max_size=60,
    ),
    st.integers(256, 700),
)
def test_any_events_in_any_blocks(tmp_path_factory, read_whole, events, block_bytes) -> None:
    path = tmp_path_factory.mktemp("text") / "a.csv"
    path.write_text("t,x,y,p\n" + "".join(f"{t},{x},{y},{int(p)}\n" for t, x, y, p in events))
    assert read_whole(path, block_bytes=block_bytes).rows == [(t, x, y, int(p)) for t, x, y, p in events]


@pytest.mark.parametrize(
    "text",
    [
        "Some words.\n1 2 3 4\n",
        "class,startTime_usec,endTime_usec\n1,2,3\n",
        '{"Loop": "wrap", "Frames": [[0.5, 1, 2, 3]]}\n',
        "name,label\na,1\n",
        "1,2,3,4,5\n" * 20,
        "0.5,0.25,7.5,3\n" * 20,
        "5 5\n",
    ],
)
def test_other_text_is_refused(text, write) -> None:
    with pytest.raises(InputError, match="begins with"):
        open_reader(str(write(text)))


def test_motion_files_are_no_events(shared) -> None:
    for path in sorted((shared / "data/motion").rglob("*")):
        if path.is_file() and path.suffix in (".txt", ".bvh", ".amc", ".asf"):
            with pytest.raises(InputError):
                open_reader(str(path))


def test_info_and_replay_read_it(write, capfd) -> None:
    from evpipe.cli.main import main
    from sensors.replay import Replay

    path = str(write(lines()))
    assert main(["info", path]) == 0
    assert "TEXT, 240 x 180" in capfd.readouterr().out
    source = Replay(path)
    source.open()
    assert sum(packet.n_events for packet in source.stream()) == 40
    source.close()

"""ROS recordings: messages byte by byte, the three containers, images, lost packets, damage, and other libraries."""

import bz2
import sqlite3
import struct

import lz4.frame
import numpy as np
import pytest
import zstandard

from evpipe.errors import InputError
from sensors.formats.detect import open_reader

EVENTS = [(1_600_000_000_000_000 + 7 * k * k, k * 3 % 240, k * 5 % 180, k % 2) for k in range(100)]
PACKET, DVS, IMAGE = "event_camera_msgs/msg/EventPacket", "dvs_msgs/msg/EventArray", "sensor_msgs/msg/Image"


class Writer:
    """Fields of a message, as CDR aligns them or packed as ROS 1 has them."""

    def __init__(self, cdr: bool) -> None:
        self.cdr, self.data = cdr, b""

    def put(self, kind: str, value) -> "Writer":
        if self.cdr:
            self.data += bytes(-len(self.data) % struct.calcsize("<" + kind))
        self.data += struct.pack("<" + kind, value)
        return self

    def text(self, text: str) -> "Writer":
        raw = text.encode() + b"\0" * self.cdr
        self.put("I", len(raw)).data += raw
        return self

    def header(self, stamp_us: int) -> "Writer":
        if not self.cdr:
            self.put("I", 0)
        return self.put("I", stamp_us // 10**6).put("I", stamp_us % 10**6 * 1000).text("cam")

    def done(self) -> bytes:
        return (b"\0\1\0\0" if self.cdr else b"") + self.data


def packet(encoding: str, raw: bytes, cdr=True, seq=0, base=0, stamp=EVENTS[0][0], size=(180, 240), says=None) -> bytes:
    out = Writer(cdr).header(stamp).put("I", size[0]).put("I", size[1]).put("Q", seq).put("Q", base).text(encoding)
    out.put("B", 0).put("I", len(raw) if says is None else says).data += raw
    return out.done()


def dvs(events, cdr=True) -> bytes:
    out = Writer(cdr).header(events[0][0]).put("I", 180).put("I", 240).put("I", len(events))
    for t, x, y, p in events:
        out.put("H", x).put("H", y).put("I", t // 10**6).put("I", t % 10**6 * 1000 + 999).put("B", p)
    return out.done()


def image(pixels, encoding="rgb8", cdr=True, stamp=EVENTS[50][0], pad=0) -> bytes:
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, pad)))
    out = Writer(cdr).header(stamp).put("I", height).put("I", width).text(encoding).put("B", 0).put("I", rows.shape[1])
    out.put("I", rows.size).data += rows.tobytes()
    return out.done()


def record(fields: dict, data: bytes) -> bytes:
    head = b"".join(struct.pack("<I", len(k) + 1 + len(v)) + k.encode() + b"=" + v for k, v in fields.items())
    return struct.pack("<I", len(head)) + head + struct.pack("<I", len(data)) + data


def bag(messages, compression="none") -> bytes:
    topics, inner = {}, b""
    for topic, kind, data in messages:
        if topic not in topics:
            number = topics[topic] = struct.pack("<I", len(topics))
            about = b"".join(
                struct.pack("<I", len(part)) + part
                for part in (b"topic=" + topic.encode(), b"type=" + kind.replace("/msg", "").encode())
            )
            inner += record({"op": b"\7", "conn": number, "topic": topic.encode()}, about)
        inner += record({"op": b"\2", "conn": topics[topic], "time": bytes(8)}, data)
    pack = {"none": bytes, "bz2": bz2.compress, "lz4": lz4.frame.compress}[compression]
    chunk = record(
        {"op": b"\5", "compression": compression.encode(), "size": struct.pack("<I", len(inner))}, pack(inner)
    )
    return b"#ROSBAG V2.0\n" + record({"op": b"\3"}, bytes(30)) + chunk + record({"op": b"\4"}, bytes(8))


def mcap(messages, compression="") -> bytes:
    def made(kind, data):
        return bytes([kind]) + struct.pack("<Q", len(data)) + data

    def text(word):
        return struct.pack("<I", len(word)) + word.encode()

    topics, inner = {}, b""
    for topic, kind, data in messages:
        if topic not in topics:
            number = topics[topic] = len(topics) + 1
            inner += made(3, struct.pack("<H", number) + text(kind) + text("ros2msg") + struct.pack("<I", 0))
            inner += made(4, struct.pack("<HH", number, number) + text(topic) + text("cdr") + struct.pack("<I", 0))
        inner += made(5, struct.pack("<HIQQ", topics[topic], 0, 0, 0) + data)
    if compression != "none":
        pack = {"": bytes, "lz4": lz4.frame.compress, "zstd": zstandard.compress}[compression]
        packed = pack(inner)
        head = struct.pack("<QQQI", 0, 0, len(inner), 0) + text(compression) + struct.pack("<Q", len(packed))
        inner = made(6, head + packed)
    magic = b"\x89MCAP0\r\n"
    return magic + made(1, text("ros2") + text("")) + inner + made(15, bytes(4)) + made(2, bytes(20)) + magic


@pytest.fixture
def write(tmp_path):
    def make(form, messages, compression=None):
        path = tmp_path / f"a.{form}"
        path.unlink(missing_ok=True)
        if form == "db3":
            base = sqlite3.connect(path)
            base.execute("CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT)")
            base.execute(
                "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER, data BLOB)"
            )
            names = list({topic: kind for topic, kind, _ in messages}.items())
            base.executemany("INSERT INTO topics VALUES (?, ?, ?)", [(k, *name) for k, name in enumerate(names)])
            places = {name: k for k, (name, _) in enumerate(names)}
            for topic, _, data in messages:
                base.execute("INSERT INTO messages(topic_id, timestamp, data) VALUES (?, 0, ?)", (places[topic], data))
            base.commit()
            base.close()
        else:
            kind = {"bag": "none", "mcap": ""}[form] if compression is None else compression
            path.write_bytes({"bag": bag, "mcap": mcap}[form](messages, kind))
        return path

    return make


FORMS = [
    *(("bag", compression) for compression in ("none", "bz2", "lz4")),
    *(("mcap", compression) for compression in ("", "none", "lz4", "zstd")),
    ("db3", None),
]
NAMES = {"bag": "ROS1-BAG", "mcap": "MCAP", "db3": "ROS2-DB3"}


@pytest.mark.parametrize(("form", "compression"), FORMS)
def test_dvs_arrays_and_images_in_every_container(form, compression, write, read_whole) -> None:
    cdr = form != "bag"
    pixels = np.random.default_rng(0).integers(0, 256, (180, 240, 3), np.uint8)
    messages = [
        ("/dvs/events", DVS, dvs(EVENTS[:60], cdr)),
        ("/dvs/image_raw", IMAGE, image(pixels, cdr=cdr)),
        ("/dvs/imu", "sensor_msgs/msg/Imu", bytes(50)),
        ("/dvs/events", DVS, dvs(EVENTS[60:], cdr)),
        ("/other/events", DVS, dvs(EVENTS[:9], cdr)),
    ]
    found = read_whole(write(form, messages, compression))
    assert found.rows == EVENTS
    assert (found.reader.format, found.reader.width, found.reader.height) == (NAMES[form], 240, 180)
    assert found.reader.streams == ("events", "frame")
    (frame,) = found.frames
    assert frame.t_us == EVENTS[50][0]
    assert np.array_equal(frame.image, pixels)
    assert found.notes == {
        "messages of other types, not read": 1,
        "messages of further topics, not read: /other/events": 1,
    }
    assert not found.damage


@pytest.mark.parametrize("cdr", [True, False])
def test_the_sheet_s_packet(cdr, write, read_whole) -> None:
    raw = bytes.fromhex("01806460")
    data = packet("evt3", raw, cdr, seq=7, base=0x1122, stamp=1_000_000, size=(720, 1280))
    if cdr:
        stamped = data[:8] + struct.pack("<I", 2) + data[12:]
        assert stamped == bytes.fromhex(
            "00010000 01000000 02000000 04000000 63616D00 D0020000 00050000 0700000000000000 2211000000000000"
            "05000000 6576743300 00 0000 04000000 01806460"
        )
    more = packet("evt3", bytes.fromhex("3200 6428"), cdr, seq=8, size=(720, 1280))
    found = read_whole(write("mcap" if cdr else "bag", [("/e", PACKET, data), ("/e", PACKET, more)]))
    assert found.rows == [(4196, 100, 50, 1)]


def test_the_other_encodings(write, read_whole) -> None:
    base = 10**18
    mono = [(5_999, 3, 4, 1), (2**32 - 1, 639, 479, 0)]
    raw = b"".join(struct.pack("<Q", t | x << 32 | y << 48 | p << 63) for t, x, y, p in mono)
    found = read_whole(write("db3", [("/e", PACKET, packet("mono", raw, base=base, size=(480, 640)))]))
    assert found.rows == [((base + t) // 1000, x, y, p) for t, x, y, p in mono]
    caer = [(2**31 - 2, 3, 4, 1, 1), (2**31 - 1, 5, 6, 0, 0), (3, 7, 8, 0, 1)]
    raw = b"".join(struct.pack("<II", valid | p << 1 | y << 2 | x << 17, t) for t, x, y, p, valid in caer)
    found = read_whole(write("db3", [("/e", PACKET, packet("libcaer", raw, base=base))]))
    assert found.rows == [(10**15 + 2**31 - 2, 3, 4, 1), (10**15 + 2**31 + 3, 7, 8, 0)]
    words = "0001 1064 2032 3805 4010 5005 5001 2040 3006"
    raw = b"".join(struct.pack("<H", int(word, 16)) for word in words.split())
    found = read_whole(write("db3", [("/e", PACKET, packet("libcaer_cmp", raw, base=base))]))
    at = 10**15 + 4196
    expected = [(at, 50, 5, 1), (at, 50, 16, 0), (at, 50, 18, 0), (at, 50, 24, 0), (at, 64, 6, 0)]
    assert found.rows == expected
    edge = packet("trigger", struct.pack("<Q", 5000 | 1 << 63), base=base)
    dots = packet("mono", struct.pack("<Q", 0), base=base)
    found = read_whole(write("db3", [("/e", PACKET, dots), ("/e", PACKET, edge)]))
    assert found.edges == [(10**15 + 5, 0, 1)]
    found = read_whole(write("db3", [("/e", PACKET, dots), ("/e", PACKET, packet("foo", b"12"))]))
    assert "coded as 'foo'" in found.damage[0].what


def test_rows_are_not_carried_over_lost_packets(write, read_whole) -> None:
    first = packet("evt3", bytes.fromhex("0180 0160 3200 6428"), seq=1)
    second = packet("evt3", bytes.fromhex("6428 3300 6428"), seq=4)
    found = read_whole(write("mcap", [("/e", PACKET, first), ("/e", PACKET, second)]))
    assert found.rows == [(4097, 100, 50, 1), (4097, 100, 51, 1)]
    assert found.notes == {"packets lost before they were recorded": 2, "events before the first row": 1}


def test_images_of_an_evt3_recording_are_on_the_sensor_s_clock(write, read_whole) -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    events = packet("evt3", bytes.fromhex("0180 0160 3200 6428"), stamp=10**15)
    found = read_whole(
        write("mcap", [("/e", PACKET, events), ("/i", IMAGE, image(grey, "mono8", stamp=10**15 + 500, pad=3))])
    )
    (frame,) = found.frames
    assert frame.t_us == 4097 + 500
    assert np.array_equal(frame.image, grey)


@pytest.mark.parametrize(
    ("encoding", "pixel", "shown"),
    [
        ("mono8", [9], 9),
        ("mono16", [1, 200], 200),
        ("rgb8", [1, 2, 3], [1, 2, 3]),
        ("bgr8", [1, 2, 3], [3, 2, 1]),
        ("rgba8", [1, 2, 3, 4], [1, 2, 3]),
        ("bgra8", [1, 2, 3, 4], [3, 2, 1]),
    ],
)
def test_pixels(encoding, pixel, shown, write, read_whole) -> None:
    pixels = np.array([[pixel] * 5] * 2, np.uint8)
    found = read_whole(write("mcap", [("/e", DVS, dvs(EVENTS)), ("/i", IMAGE, image(pixels, encoding))]))
    assert found.frames[0].image.tolist() == [[shown] * 5] * 2


def test_messages_that_say_too_much_are_left_out(write, read_whole) -> None:
    good = dvs(EVENTS[:5])
    bad = [
        good[:30],
        good[:28] + struct.pack("<I", 2**31) + good[32:],
        b"\0\3\0\0" + good[4:],
        b"",
        good[:-1],
    ]
    found = read_whole(
        write("mcap", [("/e", DVS, good), *(("/e", DVS, data) for data in bad), ("/e", DVS, dvs(EVENTS[5:9]))])
    )
    assert found.rows == EVENTS[:9]
    assert len(found.damage) == len(bad)
    whole = packet("mono", bytes(8), says=2**31)
    found = read_whole(write("mcap", [("/e", PACKET, packet("mono", bytes(8))), ("/e", PACKET, whole)]))
    assert "says 2147483648 bytes" in found.damage[0].what


@pytest.mark.parametrize(("form", "compression"), [("bag", "none"), ("mcap", "none"), ("mcap", "")])
def test_cut_at_every_byte(form, compression, write, tmp_path, read_whole) -> None:
    """Each whole message is read, also of a chunk that is cut, if it is not compressed."""
    messages = [("/e", DVS, dvs(EVENTS[k : k + 3], form != "bag")) for k in range(0, 12, 3)]
    data = write(form, messages, compression).read_bytes()
    path, seen = tmp_path / "cut", set()
    for size in range(20, len(data), 3):
        path.write_bytes(data[:size])
        try:
            found = read_whole(path)
        except InputError:
            continue
        assert found.rows == EVENTS[: len(found.rows)]
        seen.add(len(found.rows))
    assert seen == {3, 6, 9, 12}


@pytest.mark.parametrize(("form", "compression"), FORMS)
def test_changed_bytes_end_in_words(form, compression, write, tmp_path, read_whole) -> None:
    random = np.random.default_rng(0)
    messages = [("/e", DVS, dvs(EVENTS[k : k + 30], form != "bag")) for k in range(0, 90, 30)]
    messages.append(("/i", IMAGE, image(np.zeros((5, 5), np.uint8), "mono8", form != "bag")))
    messages.append(("/p", PACKET, packet("evt3", bytes.fromhex("0180 0160 3200 6428"), form != "bag")))
    whole = write(form, messages, compression).read_bytes()
    path = tmp_path / "changed"
    for _ in range(200):
        data = bytearray(whole)
        for _ in range(random.integers(1, 5)):
            data[random.integers(16, len(data))] = random.integers(256)
        if random.random() < 0.3:
            data = data[: random.integers(16, len(data))]
        path.write_bytes(data)
        try:
            found = read_whole(path)
        except InputError:
            continue
        assert len(found.t) < 1000


@pytest.mark.parametrize("form", ["bag", "mcap", "db3"])
def test_recordings_without_events_are_refused(form, write) -> None:
    with pytest.raises(InputError, match="no events that evpipe reads, but std_msgs/String"):
        open_reader(str(write(form, [("/a", "std_msgs/msg/String", bytes(8))])))


@pytest.mark.parametrize("head", [b"#ROSBAG V2.0\n", b"\x89MCAP0\r\n", b"SQLite format 3\0"])
def test_heads_alone_are_refused(head, tmp_path) -> None:
    for rest in (b"", bytes(40), b"\xff" * 40):
        (tmp_path / "a").write_bytes(head + rest)
        with pytest.raises(InputError, match=r"damaged at byte|no events"):
            open_reader(str(tmp_path / "a"))


def test_two_libraries_agree_on_the_messages(shared) -> None:
    """Rosbags on the bags, mcap on the MCAP file: the same messages in the same order."""
    from sensors.formats.reader import Account
    from sensors.formats.ros_containers import Known, bag_messages, mcap_messages

    rosbag1 = pytest.importorskip("rosbags.rosbag1")
    reading = pytest.importorskip("mcap.reader")
    for name in ("ros_event_camera/test_events_1.bag", "transcoded/davis346_dvs_msgs.bag"):
        with rosbag1.Reader(shared / "data" / name) as reader:
            theirs = [(connection.topic, bytes(raw)) for connection, _, raw in reader.messages()]
        account = Account()
        assert [(one.topic, one.data) for one in bag_messages(str(shared / "data" / name), account, Known())] == theirs
        assert not account.damage
    path = shared / "data/ros_event_camera/test_events_2/test_events_2_0.mcap"
    with path.open("rb") as file:
        theirs = [
            (channel.topic, one.data)
            for _, channel, one in reading.make_reader(file).iter_messages(log_time_order=False)
        ]
    assert [(one.topic, one.data) for one in mcap_messages(str(path), Account(), Known())] == theirs


def test_info_and_replay_read_it(shared, capfd) -> None:
    from evpipe.cli.main import main
    from sensors.replay import Replay

    for name, n in (("ros_event_camera/test_events_1.bag", 343474), ("transcoded/davis346_dvs_msgs.bag", 78830)):
        path = str(shared / "data" / name)
        assert main(["info", path]) == 0
        assert "ROS1-BAG" in capfd.readouterr().out
        source = Replay(path)
        source.open()
        assert sum(packet.n_events for packet in source.stream()) == n
        source.close()

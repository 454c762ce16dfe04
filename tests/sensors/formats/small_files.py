"""Recordings of every format as bytes, made from columns of events, for tests that go through all formats."""

import io
import struct

import numpy as np

from sensors.writers.aedat4 import Aedat4Writer

SIZE = (346, 260)  # width, height
ALL = ("evt2", "evt21", "evt3", "evt4", "dat", "es", "aedat2", "aedat3", "aedat4", "text", "npy", "npz", "hdf5", "mcap")
SUFFIX = {"evt2": ".raw", "evt21": ".raw", "evt3": ".raw", "evt4": ".raw", "text": ".csv", "aedat2": ".aedat"}


def some_events(n, seed=0, disorder=0, step=40):
    """t, x, y, p; `disorder`: how many times lie somewhere else."""
    random = np.random.default_rng(seed)
    t = 10_000 + np.cumsum(random.integers(0, step, n))
    at = random.integers(0, n, disorder)
    t[at] = random.integers(0, max(int(t[-1]), 1), disorder)
    return t, random.integers(0, SIZE[0], n), random.integers(0, SIZE[1], n), random.integers(0, 2, n)


def write(name, path, events):
    """Write a recording of format `name`; the path has the format's suffix added."""
    path = path.with_suffix(SUFFIX.get(name, "." + name))
    columns = [np.asarray(column, np.int64) for column in events]
    if name == "aedat4":
        _write_aedat4(path, *columns)
    else:
        path.write_bytes(BUILD[name](*columns))
    return path


def _evt(name):
    def build(t, x, y, p):
        head = f"% format {name.upper()};endianness=little;height={SIZE[1]};width={SIZE[0]}\n% end\n".encode()
        if name == "evt3":
            words = [0x8000 | t >> 12 & 0xFFF, 0x6000 | t & 0xFFF, y, 0x3000 | p << 11 | x, 0x2000 | p << 11 | x]
            words += [np.where(t % 5, 0x7000, 0xA101)]
            return head + np.stack(words, 1).astype("<u2").tobytes()
        kinds = {"evt2": (8, p), "evt21": (8, p), "evt4": (14, 10 + p)}[name]
        words = np.stack([kinds[0] << 28 | t >> 6, kinds[1] << 28 | (t & 63) << 22 | x << 11 | y], 1)
        if name == "evt21":
            return head + (words << 32 | 1).astype("<u8").tobytes()
        return head + words.astype("<u4").tobytes()

    return build


def _dat(t, x, y, p):
    head = f"% Width {SIZE[0]}\n% Height {SIZE[1]}\n% Version 2\n% end\n".encode()
    return head + b"\x0c\x08" + (t & 0xFFFFFFFF | (x | y << 14 | p << 28) << 32).astype("<u8").tobytes()


def _es(t, x, y, p):
    """Times must not step back: they are held."""
    data = bytearray(b"Event Stream\x02\x00\x00\x01" + struct.pack("<HH", *SIZE))
    now = 0
    for a, b, c, d in zip(np.maximum.accumulate(t).tolist(), x.tolist(), y.tolist(), p.tolist(), strict=True):
        data += b"\xff" * ((a - now) // 127) + bytes([(a - now) % 127 << 1 | d]) + struct.pack("<HH", b, c)
        now = a
    return bytes(data)


def _aedat2(t, x, y, p):
    address = y << 22 | x << 12 | p << 11
    return (
        b"#!AER-DAT2.0\r\n# AEChip: DAVIS346\r\n#End Of ASCII Header\r\n"
        + np.stack([address, t], 1).astype(">u4").tobytes()
    )


def _aedat3(t, x, y, p):
    data = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DAVIS346\r\n#!END-HEADER\r\n"
    for k in range(0, len(t), 70):
        part = np.stack([x << 17 | y << 2 | p << 1 | 1, t], 1)[k : k + 70]
        n = len(part)
        data += struct.pack("<hhiiiiii", 1, 1, 8, 4, 0, n, n, n) + part.astype("<u4").tobytes()
    return data


def _write_aedat4(path, t, x, y, p):
    """Packets of 70 events, and a frame after each."""
    with Aedat4Writer(path, *SIZE) as writer:
        for k in range(0, len(t), 70):
            part = slice(k, k + 70)
            writer.events(t[part], x[part].astype("u2"), y[part].astype("u2"), p[part].astype("u1"))
            writer.flush()
            writer.frame(int(t[k]), int(t[k]) + 5, np.full((4, 3), k % 256, np.uint8))


def _text(t, x, y, p):
    lines = "".join(f"{a},{b},{c},{d}\n" for a, b, c, d in zip(t, x, y, p, strict=True))
    return f"t,x@{SIZE[0]},y@{SIZE[1]},p\n{lines}".encode()


def _npy(t, x, y, p):
    file = io.BytesIO()
    np.save(file, np.rec.fromarrays([t, x, y, p], names="t,x,y,p"))
    return file.getvalue()


def _npz(t, x, y, p):
    file = io.BytesIO()
    np.savez(file, t=t, x=x, y=y, p=p)
    return file.getvalue()


def _hdf5(t, x, y, p):
    import h5py

    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        h5.attrs["geometry"] = f"{SIZE[0]}x{SIZE[1]}"
        for key, column in zip("txyp", (t, x, y, p), strict=True):
            h5.create_dataset(
                f"events/{key}", data=column.astype("u4"), compression="gzip", maxshape=(None,), chunks=(300,)
            )
    return file.getvalue()


def _mcap(t, x, y, p):
    """event_camera_msgs in ROS 2's coding, EVT3 inside, a message for 50 events and no chunks."""
    words = np.frombuffer(_evt("evt3")(t, x, y, p).split(b"% end\n", 1)[1], np.uint8)
    data = b"\x89MCAP0\r\n" + _record(1, _string("") + _string("test"))
    data += _record(3, b"\1\0" + _string("event_camera_msgs/msg/EventPacket") + _string("ros2msg") + bytes(4))
    data += _record(4, b"\1\0\1\0" + _string("/events") + _string("cdr") + bytes(4))
    for k, part in enumerate(np.split(words, range(600, len(words), 600))):
        said = struct.pack("<4xII", 1, 2)[4:] + struct.pack("<I4s", 4, b"cam\0")
        body = b"\0\1\0\0" + said + struct.pack("<II", SIZE[1], SIZE[0])
        body += bytes(-(len(body) - 4) % 8) + struct.pack("<QQ", k, 0) + struct.pack("<I5sB", 5, b"evt3\0", 0)
        body += bytes(-(len(body) - 4) % 4) + struct.pack("<I", len(part)) + part.tobytes()
        data += _record(5, struct.pack("<HIQQ", 1, k, k, k) + body)
    return data + _record(15, bytes(4)) + _record(2, bytes(20)) + b"\x89MCAP0\r\n"


def _record(kind, body):
    return bytes([kind]) + struct.pack("<Q", len(body)) + body


def _string(text):
    return struct.pack("<I", len(text)) + text.encode()


BUILD = {name: _evt(name) for name in ("evt2", "evt21", "evt3", "evt4")} | {
    "dat": _dat,
    "es": _es,
    "aedat2": _aedat2,
    "aedat3": _aedat3,
    "text": _text,
    "npy": _npy,
    "npz": _npz,
    "hdf5": _hdf5,
    "mcap": _mcap,
}

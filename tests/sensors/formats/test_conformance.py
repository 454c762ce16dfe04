"""Every shared recording of a format that is read gives the expected columns."""

import hashlib
import json

import numpy as np


def digest(column, kind):
    return hashlib.sha256(np.ascontiguousarray(column, kind)).hexdigest()[:16]


def test_every_recording_gives_the_expected_columns(shared, read_whole):
    """Events, frames, IMU samples and triggers equal what several independent readers agree on."""
    seen = 0
    for line in (shared / "data/conformance/expected.jsonl").read_text().splitlines():
        expected = json.loads(line)
        if expected["format"].replace(" ", "-").split("-")[0] not in (
            "EVT2",
            "EVT3",
            "AEDAT2",
            "AEDAT3.1",
            "AEDAT4",
            "DAT",
            "ES",
            "HDF5",
            "MCAP",
            "NPY",
            "NPZ",
            "ROS1",
            "ROS2",
            "NMNIST",
        ):
            continue
        seen += 1
        found = read_whole(shared / "data" / expected["path"])
        name = expected["path"]
        assert found.reader.format == expected["format"].split(" ")[0], name
        if expected["width"] is not None or expected["format"] != "NMNIST-BIN":
            # An ATIS file does not say its geometry: without a known sensor any that holds all events will do.
            assert (found.reader.width, found.reader.height) == (expected["width"], expected["height"]), name
        columns = {
            "t": digest(found.t, "<i8"),
            "x": digest(found.x, "<u2"),
            "y": digest(found.y, "<u2"),
            "p": digest(found.p, "u1"),
        }
        assert columns == expected["digest"], name
        assert (len(found.t), int(found.p.sum())) == (expected["n_events"], expected["n_on"]), name
        assert not found.damage, name
        side = expected.get("side_streams", {})
        if "frames" in side:
            assert len(found.frames) == side["frames"]["n"]
            assert digest([frame.t_us for frame in found.frames], "<i8") == side["frames"]["t_digest"]
            starts = digest([frame.start_us for frame in found.frames], "<i8")
            assert starts == side["frames"]["exposure_start_digest"]
            pixels = hashlib.sha256(b"".join(frame.image.tobytes() for frame in found.frames))
            assert pixels.hexdigest()[:16] == side["frames"]["pixels_digest"]
        if "imu" in side:
            assert digest(np.concatenate([chunk.t for chunk in found.imu]), "<i8") == side["imu"]["t_digest"]
        if "triggers" in side:
            assert digest([edge[0] for edge in found.edges], "<i8") == side["triggers"]["t_digest"]
    assert seen >= 176


def test_imu_samples_are_in_g_and_degrees(shared, read_whole):
    """A camera at rest on a table feels one g."""
    found = read_whole(shared / "data/faery_sdist/davis346.aedat4")
    accel = np.concatenate([chunk.accel for chunk in found.imu])
    assert 0.9 < np.linalg.norm(np.median(accel, axis=0)) < 1.1

"""How recordings are cut into clips and counted, whatever their length and their faults."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evpipe.errors import InputError
from operators.learn import clips
from operators.learn.recipe import Folder
from operators.learn.sources import recordings
from operators.learn.sources.recordings import clip_length, clip_starts
from sensors.formats import reader as formats_reader

SPLITS = ("train", "validation", "test")


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (0, [0]),
        (30, [0]),
        (100, [0]),
        (149, [0]),
        (150, [0, 50]),
        (200, [0, 100]),
        (249, [0, 100]),
        (251, [0, 100, 151]),
    ],
)
def test_clips_lie_side_by_side_and_a_long_rest_gives_one_more(duration, expected) -> None:
    assert clip_starts(duration, 100) == expected


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 700))
def test_clips_cover_a_recording_but_a_short_rest(duration, clip) -> None:
    starts = clip_starts(duration, clip)
    covered = {t for start in starts for t in range(start, min(start + clip, duration))}
    assert len(starts) == len(set(starts)) >= 1
    assert duration - len(covered) < max(clip / 2, 1)
    assert all(start + clip <= duration for start in starts) or starts == [0]


@pytest.mark.parametrize(
    ("longest", "given_us", "expected"),
    [(50_000, None, 100_000), (400_001, None, 404_000), (9_000_000, None, 2_000_000), (400_001, 120_000, 120_000)],
)
def test_length_of_clips(recipe_of, longest, given_us, expected) -> None:
    """A multiple of 4 ms that holds the window and the longest recording up to 2 s, unless the recipe says it."""
    assert clip_length(recipe_of(Folder(path="x", clip_us=given_us)), longest) == expected


@pytest.fixture
def prepared(tmp_path, record, recipe_of):
    """A function (bytes or `record` options for b/0.aedat, clip_us) -> its clips, its events, what was said of it."""

    def prepare(content=b"", clip_us=None, **options):
        for label in ("a", "b"):
            for k in range(3):
                record(tmp_path / "data" / label / f"{k}.aedat", 200_000, size=(128, 128))
        path = tmp_path / "data" / "b" / "0.aedat"
        events = record(path, size=(128, 128), **options) if options else None
        if content:
            path.write_bytes(content)
        said = []
        for split in SPLITS:
            found = clips.prepare(
                recipe_of(Folder(path=str(tmp_path / "data"), clip_us=clip_us)),
                split,
                tmp_path / "clips",
                say=said.append,
            )
            if "b/0.aedat" in found.recordings:
                mine = found.counts[found.recording == found.recordings.index("b/0.aedat")]
        return np.array(mine), events, [line.split(": ", 2)[2] for line in said if "b/0.aedat" in line]

    return prepare


@pytest.mark.parametrize("block_bytes", [2**20, 1000])
def test_a_long_recording_gives_several_clips(prepared, counted, monkeypatch, block_bytes) -> None:
    """However the file is read in pieces; the last clip ends with the recording."""
    monkeypatch.setattr(formats_reader, "BLOCK_BYTES", block_bytes)
    monkeypatch.setattr("sensors.formats.file_reader.BLOCK_BYTES", block_bytes)
    found, events, said = prepared(duration_us=710_000, n=3000, clip_us=200_000)
    assert len(found) == 4
    for clip, start in zip(found, (0, 200_000, 400_000, 510_000), strict=True):
        np.testing.assert_array_equal(clip, counted(events, 1000 + start, 4000, 50, 128, 16))
    assert not said


def test_short_recordings_are_padded_and_said(prepared) -> None:
    found, _, said = prepared(duration_us=90_000)
    assert found.shape[:2] == (1, 50)
    assert found[0, :23].sum() == 500
    assert said == ["shorter than the window of 100000 us; the rest of its clip is empty"]
    _, _, said = prepared(duration_us=110_000, clip_us=400_000)
    assert said[0].startswith("shorter than half a clip of 400000 us")


def aedat2(times) -> bytes:
    head = b"#!AER-DAT2.0\r\n# AEChip: ch.unizh.ini.jaer.chip.retina.DVS128\r\n"
    return head + np.stack([np.full(len(times), 2), np.array(times) % 2**32], 1).astype(">u4").tobytes()


def test_a_recording_without_events_is_an_empty_clip(prepared) -> None:
    found, _, said = prepared(aedat2([])[:-1] + b"\n")
    assert found.shape[0] == 1
    assert not found.any()
    assert said == ["holds no events; its clip is empty"]


def test_a_clock_that_is_set_back_loses_what_follows(prepared) -> None:
    """Small steps back are counted where they belong; larger ones are left out and counted."""
    times = [5_000_000, 5_100_000, 5_050_000, 10, 20, 5_150_000]
    found, _, said = prepared(aedat2(times))
    assert found.shape[0] == 1
    assert np.flatnonzero(found[0].sum((1, 2, 3))).tolist() == [0, 12, 25, 37]
    assert said == [
        "steps back of time, the first after byte 62, the farthest by 5.049990 s",
        "2 events left out: their time is more than 1000000 us behind those before them",
    ]


def test_a_jump_of_the_clock_ends_a_recording(prepared) -> None:
    """A wrong time must not give clips of hours."""
    found, _, said = prepared(aedat2([0, 150_000, 2_000_000_000, 2_000_000_001]))
    assert found.sum() == 2
    assert found.shape[0] == 1
    assert said == ["the clock jumps from 150000 us to 2000000000 us; what follows is left out"]


def test_counts_stop_at_the_largest_of_sixteen_bits(prepared) -> None:
    found, _, _ = prepared(aedat2([0] * 70_000 + [150_000]))
    assert found.max() == 65_535


def test_streams_without_pixels_are_refused(tmp_path, shared, record, recipe_of) -> None:
    for label in ("a", "b"):
        for k in range(3):
            record(tmp_path / "data" / label / f"{k}.bin", seed=k)
    (tmp_path / "data" / "a" / "0.es").write_bytes((shared / "data/faery_sdist/generic.es").read_bytes())
    with pytest.raises(InputError, match=r"a/0\.es: holds no events of pixels"):
        clips.prepare(recipe_of(Folder(path=str(tmp_path / "data"))), "train", tmp_path / "clips")


def test_orientation_is_that_of_the_replay(tmp_path, shared, recipe_of) -> None:
    """Clips of real recordings of four formats equal counts of what `Replay` shows."""
    from operators.kernels.steps import count
    from sensors.replay import Replay

    names = (
        "faery_sdist/dvs.es",
        "faery_sdist/evt2.raw",
        "dv_processing_tests/sample_data.aedat4",
        "dvs128_actions/neal_walking.aedat",
    )
    for label in ("a", "b"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for name in names:
            (tmp_path / "data" / label / name.split("/")[1]).symlink_to(shared / "data" / name)
    recipe = recipe_of(Folder(path=str(tmp_path / "data"), clip_us=400_000))
    seen = 0
    for split in SPLITS:
        found = clips.prepare(recipe, split, tmp_path / "clips")
        for number, name in enumerate(found.recordings):
            source = Replay(str(tmp_path / "data" / name), to_us=400_000)
            source.open()
            packets = [packet for packet in source.stream() if hasattr(packet, "p")]
            source.close()
            first = min(int(packet.t[0]) for packet in packets if len(packet.t))
            expected = np.zeros(found.counts.shape[1:], np.uint16)
            for packet in packets:
                count(
                    (packet.t, packet.x, packet.y, packet.p),
                    first,
                    4000,
                    (packet.height, packet.width),
                    (16, 16),
                    expected,
                )
            np.testing.assert_array_equal(found.counts[found.recording == number][0], expected)
            seen += 1
    assert seen == 8


def test_surveys_are_kept_by_content(tmp_path, record, recipe_of, monkeypatch) -> None:
    """A renamed file is not read again; another reader's source makes all be read again."""
    for label in ("a", "b"):
        for k in range(3):
            record(tmp_path / "data" / label / f"{k}.bin", seed=k + 10 * (label == "b"))
    read = []
    survey = recordings._survey
    monkeypatch.setattr(recordings, "_survey", lambda of: read.append(of) or survey(of))
    recipe = recipe_of(Folder(path=str(tmp_path / "data")))
    for split in SPLITS:
        clips.prepare(recipe, split, tmp_path / "clips")
    assert len(read) == 6
    (tmp_path / "data/a/0.bin").rename(tmp_path / "data/a/9.bin")
    clips.prepare(recipe, "train", tmp_path / "clips")
    assert len(read) == 6
    kept = tmp_path / "clips" / "recordings.json"
    about = msgspec.json.decode(kept.read_bytes())
    kept.write_bytes(msgspec.json.encode(about | {"readers": "older"}))
    clips.prepare(recipe, "train", tmp_path / "clips")
    assert len(read) == 12
    kept.write_bytes(b"{")
    clips.prepare(recipe, "train", tmp_path / "clips")
    assert len(read) == 18

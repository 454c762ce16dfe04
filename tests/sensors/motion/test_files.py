"""Opening motion files: told by content, brought to metres with y up, people only."""

import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evpipe.errors import InputError, UsageError
from sensors.motion.files import cut, read
from sensors.motion.parts import PARTS, leg_length, parts_of

REAL = (
    "deepmimic/humanoid3d_kick.txt",
    "fairmotion/01_01.amc",
    "fairmotion/01_01.bvh",
    "bvh_python/test_freebvh.bvh",
    "pymo/AV_8Walk_Meredith_HVHA_Rep1.bvh",
)


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_people_in_metres(shared, name):
    """Every real skeleton has all parts of a body, legs of a person's length, its head above, and left on its left."""
    motion = read(shared / "data" / "motion" / name)
    parts = parts_of(motion, name)
    assert set(parts.at) == set(PARTS)
    assert 0.75 < leg_length(motion, parts) < 0.9
    at = parts.at
    assert motion.positions[0, at["head"], 1] > motion.positions[0, at["ankle_l"], 1] + 1.0
    ahead = motion.rest[at["toe_l"]] - motion.rest[at["ankle_l"]]
    left = motion.rest[at["hip_l"]] - motion.rest[at["hip_r"]]
    assert np.cross(left, (0, 1, 0)) @ ahead > 0
    # One pose before what was recorded, as converters put it there, is gone.
    assert np.linalg.norm(np.diff(motion.positions[:3], axis=0), axis=-1).max() < 6.0 * motion.frame_s


def test_units_and_lead_in_are_told(shared):
    """What was guessed or left out is noted."""
    folder = shared / "data" / "motion"
    assert read(folder / REAL[2]).notes == (
        "lengths are taken as CMU units",
        "the first frame, a pose apart from the rest, was left out",
    )
    assert read(folder / REAL[3]).notes == ("lengths are taken as centimetres",)
    assert read(folder / REAL[4]).notes == ("lengths are taken as inches",)


def test_content_decides(shared, tmp_path):
    """Names do not matter; a skeleton alone and other files are refused with what to do."""
    folder = shared / "data" / "motion"
    shutil.copy(folder / REAL[0], tmp_path / "kick.bvh")
    assert len(read(tmp_path / "kick.bvh").positions) == 47
    with pytest.raises(InputError, match="is a skeleton without motion; name the AMC file beside it"):
        read(folder / "fairmotion" / "01.asf")
    (tmp_path / "x.txt").write_text("hello")
    with pytest.raises(InputError, match="is no motion file; BVH, AMC"):
        read(tmp_path / "x.txt")


def test_z_up_is_turned(shared, tmp_path):
    """The same walk written with z up is read as the same motion, and told."""
    source = shared / "data" / "motion" / REAL[4]
    plain = read(source)
    found = read(_with_z_up(source, tmp_path / "z.bvh"))
    assert found.notes[1] == "z is up in the file"
    np.testing.assert_allclose(found.positions, plain.positions, atol=1e-4)
    np.testing.assert_allclose(found.turns, plain.turns, atol=1e-4)


def _with_z_up(source, target):
    """(x, y, z) -> (x, -z, y) in every offset and channel: Y becomes Z, Z becomes -Y."""
    head, _, table = source.read_text().replace("\r", "").partition("MOTION")
    lines, names = [], []
    for line in head.splitlines():
        words = line.split()
        if words[:1] == ["OFFSET"]:
            x, y, z = map(float, words[1:])
            line = f"OFFSET {x} {-z} {y}"
        elif words[:1] == ["CHANNELS"]:
            names += words[2:]
            line = line.replace("Y", "?").replace("Z", "Y").replace("?", "Z")
        lines.append(line)
    first, second, *rows = table.strip().splitlines()
    numbers = np.array([row.split() for row in rows], float)
    numbers[:, [name.startswith("Z") for name in names]] *= -1
    body = "\n".join(" ".join(map(str, row)) for row in numbers)
    target.write_text("\n".join(lines) + f"\nMOTION\n{first}\n{second}\n{body}\n")
    return target


def test_no_person(tmp_path):
    """A skeleton without a person's parts names those that are missing and the joints there are."""
    (tmp_path / "rope.bvh").write_text(
        "HIERARCHY ROOT a { OFFSET 0 0 0 CHANNELS 1 Xrotation } MOTION Frames: 2 Frame Time: 0.1 0 0"
    )
    with pytest.raises(InputError, match=r"no joint is named like chest, head, hip_l.*It has: a"):
        read(tmp_path / "rope.bvh")


def test_the_pelvis_need_not_be_the_root(shared, tmp_path):
    """A joint above the hips, as some programs write it, changes no part; the pelvis is what carries both hips."""
    source = shared / "data" / "motion" / REAL[4]
    head, _, table = source.read_text().replace("\r", "").partition("MOTION")
    first, second, *rows = table.strip().splitlines()
    above = "ROOT Reference { OFFSET 0 0 0 CHANNELS 1 Xrotation JOINT Hips"
    rows = [f"0 {row}" for row in rows]
    text = "\n".join([head.replace("ROOT Hips", above) + "}", "MOTION", first, second, *rows])
    (tmp_path / "above.bvh").write_text(text)
    plain, found = read(source), read(tmp_path / "above.bvh")
    a, b = parts_of(plain, ""), parts_of(found, "")
    assert (plain.names[a.pelvis], found.names[b.pelvis]) == ("Hips", "Hips")
    np.testing.assert_allclose(found.positions[:, 1:], plain.positions, atol=1e-9)
    cmu = read(shared / "data" / "motion" / REAL[1])
    assert cmu.names[parts_of(cmu, "").pelvis] == "root"


def test_parts_of_a_motion(shared):
    """A span of time is cut by frames; one outside the motion is refused."""
    motion = read(shared / "data" / "motion" / REAL[1])
    part = cut(motion, (1.0, 2.5), "01")
    np.testing.assert_array_equal(part.positions, motion.positions[120:300])
    for span in ((22.0, 23.0), (2.0, 2.0), (3.0, 2.0)):
        with pytest.raises(UsageError, match=r"01: .* s is no part of a motion of 22.93 s"):
            cut(motion, span, "01")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([0, 3]),
    st.integers(0, 50_000),
    st.integers(0, 40),
    st.sampled_from(["", "{", "}", "x", "-1e999", "\n"]),
)
def test_damage_is_an_input_error(shared, tmp_path, which, at, length, by):
    """Whatever is cut from or put into a file: it is read, or refused with an InputError that names it."""
    text = (shared / "data" / "motion" / REAL[which]).read_text()
    (tmp_path / "damaged").write_text(text[:at] + by + text[at + length :])
    try:
        whole, said = np.isfinite(read(tmp_path / "damaged").positions).all(), ""
    except InputError as error:
        whole, said = False, str(error)
    assert whole or said.startswith(str(tmp_path / "damaged"))

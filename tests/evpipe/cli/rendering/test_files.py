"""Videos, GIFs and pictures read back; nothing half under the final name."""

import resource
import subprocess
import sys
from fractions import Fraction

import cv2
import numpy as np
import pytest
from PIL import Image

from evpipe.cli.rendering.ahead import Ahead
from evpipe.cli.rendering.files import output, part_of
from evpipe.errors import RecorderError

KINDS = ("mp4", "gif", "png", "folder")
COLOURS = np.array([(11, 14, 19), (255, 241, 214), (64, 140, 255)], np.uint8)[:, ::-1]


def pictures(n=7, size=(48, 64)):
    rng = np.random.default_rng(3)
    return [COLOURS[rng.integers(0, 3, (size[0] // 4, size[1] // 4)).repeat(4, 0).repeat(4, 1)] for _ in range(n)]


def made(kind, path, shown, fps=Fraction(30)):
    out = output(kind, path, fps, COLOURS)
    for picture in shown:
        out.add(picture)
    out.finish()
    return path


def name(kind):
    return "out" if kind == "folder" else f"out.{kind}"


def test_an_mp4_holds_every_picture(tmp_path):
    """As many as were given, at the rate asked for, near their colours."""
    shown = pictures()
    video = cv2.VideoCapture(str(made("mp4", tmp_path / "a.mp4", shown, Fraction(25))))
    assert video.get(cv2.CAP_PROP_FPS) == 25
    for picture in shown:
        done, read = video.read()
        assert done
        assert np.abs(read.astype(int) - picture).mean() < 12
    assert not video.read()[0]


def test_a_gif_holds_every_picture_exactly(tmp_path):
    """Colours that were asked for are exact, it repeats for ever, and times add up to the rate."""
    shown = pictures(30)
    total = 0
    with Image.open(made("gif", tmp_path / "a.gif", shown, Fraction(30))) as gif:
        assert (gif.n_frames, gif.info["loop"], gif.size) == (30, 0, (64, 48))
        for k, picture in enumerate(shown):
            gif.seek(k)
            total += gif.info["duration"]
            np.testing.assert_array_equal(np.asarray(gif.convert("RGB"))[:, :, ::-1], picture)
    assert total == 1000


def test_a_gif_of_frames_is_near_their_greys(tmp_path):
    """Greys are hit within 3, colours within a coarse cube."""
    ramp = np.repeat(np.tile(np.arange(256, dtype=np.uint8), (16, 1))[:, :, None], 3, axis=2)
    with Image.open(made("gif", tmp_path / "a.gif", [ramp])) as gif:
        read = np.asarray(gif.convert("RGB"))
    assert np.abs(read.astype(int) - ramp).max() <= 3


def test_a_folder_has_numbered_pictures(tmp_path):
    """000001.png and on, exact; in a folder that exists older numbers go and all else stays."""
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "000009.png").write_bytes(b"old")
    (folder / "notes.txt").write_text("mine")
    shown = pictures(3)
    made("folder", folder, shown)
    assert sorted(path.name for path in folder.iterdir()) == ["000001.png", "000002.png", "000003.png", "notes.txt"]
    for k, picture in enumerate(shown, 1):
        np.testing.assert_array_equal(cv2.imread(str(folder / f"00000{k}.png")), picture)
    assert list(tmp_path.iterdir()) == [folder]


def test_a_png_is_the_last_picture(tmp_path):
    shown = pictures(3)
    np.testing.assert_array_equal(cv2.imread(str(made("png", tmp_path / "a.png", shown))), shown[-1])


@pytest.mark.parametrize("kind", KINDS)
def test_the_final_name_appears_with_the_whole(kind, tmp_path):
    """Until `finish` an older output stays untouched; after `discard` nothing else is left."""
    path = made(kind, tmp_path / name(kind), pictures(2))
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    out = output(kind, path, Fraction(30), COLOURS)
    for picture in pictures(5):
        out.add(picture)
        assert {file: file.read_bytes() for file in before} == before
    out.discard()
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_depend_on_the_pictures_alone(kind, tmp_path):
    """Two outputs of the same pictures are the same, also when they are coded in a thread."""
    made(kind, tmp_path / f"1{name(kind)}", pictures())
    threaded = Ahead(output(kind, tmp_path / f"2{name(kind)}", Fraction(30), COLOURS))
    for picture in pictures():
        threaded.add(picture)
    threaded.finish()
    first, second = sorted(tmp_path.iterdir())
    parts = [sorted(path.iterdir()) if path.is_dir() else [path] for path in (first, second)]
    assert [part.read_bytes() for part in parts[0]] == [part.read_bytes() for part in parts[1]]


@pytest.mark.parametrize("kind", KINDS)
def test_without_pictures_nothing_is_made(kind, tmp_path):
    made(kind, tmp_path / name(kind), [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["mp4", "gif", "folder"])
def test_a_place_that_cannot_be_written_is_told(kind, tmp_path):
    """RecorderError names the path, also through the coding thread."""
    out = Ahead(output(kind, tmp_path / "none" / name(kind), Fraction(30), COLOURS))
    with pytest.raises(RecorderError, match=f"none/{name(kind)}: cannot be written"):
        made_in(out, pictures())
    out.discard()


def made_in(out, shown):
    for picture in shown:
        out.add(picture)
    out.finish()


FULL = """
import sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from evpipe.cli.rendering.files import output
from evpipe.errors import RecorderError
out = output(sys.argv[1], Path(sys.argv[2]), Fraction(30), np.zeros((1, 3), np.uint8))
rng = np.random.default_rng(0)
try:
    for _ in range(40):
        out.add(rng.integers(0, 255, (120, 160, 3), np.uint8))
    out.finish()
except RecorderError as error:
    out.discard()
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize("kind", ["mp4", "gif", "png", "folder"])
def test_a_full_disk_is_an_error_and_leaves_nothing(kind, tmp_path):
    """Under a limit on the size of files each kind ends with RecorderError, also OpenCV's video that tells nothing."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    command = [sys.executable, "-c", FULL, kind, str(tmp_path / name(kind))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limit, timeout=60)
    assert (done.returncode, done.stderr) == (RecorderError.exit_code, "")
    assert name(kind) in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_part_keeps_the_ending():
    """OpenCV and people tell a format by it."""
    from pathlib import Path

    assert part_of(Path("a/b.c.mp4")) == Path("a/.b.c.part.mp4")

"""What pictures become: a video, a GIF, one PNG or a folder of them, made under another name until they are whole.

Bytes depend on the pictures alone. Memory does not grow with the number of pictures.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import struct
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol

import numpy as np

from evpipe.errors import RecorderError
from evpipe.packets import U8

if TYPE_CHECKING:
    from PIL.Image import Image

Kind = Literal["mp4", "gif", "png", "folder"]
NUMBERED = re.compile(r"\d{6,}\.png")
MAX_GIF_FPS = 50  # a GIF counts in 1/100 s, and shorter times than 2 of them are stretched by viewers
MAX_GIF_SIDE = 65_535
_CHECK_EVERY = 30  # pictures
_LEAST_FREE = 2**20  # bytes of a disk


class Output(Protocol):
    """One file (or folder) in the making. `add` and `finish` raise RecorderError when it cannot be written."""

    path: Path

    def add(self, picture: U8) -> None:
        """The next picture, BGR uint8 [H, W, 3], always of one size."""

    def finish(self) -> None:
        """Complete it and give it its name, replacing an older one."""

    def discard(self) -> None:
        """Leave nothing of it."""


def output(kind: Kind, path: Path, fps: Fraction, colours: U8) -> Output:
    """The file of a kind. `colours` uint8 [N, 3] BGR are those that a GIF must have exactly."""
    if kind == "mp4":
        return Mp4(path, fps)
    if kind == "gif":
        return Gif(path, fps, colours)
    return Png(path) if kind == "png" else PngFolder(path)


def part_of(path: Path) -> Path:
    """The name of what is not whole yet, beside the final one and with its ending."""
    return path.with_name(f".{path.stem}.part{path.suffix}")


class Mp4:
    """MPEG-4 video by OpenCV, which tells of no failure: the disk is watched, and the pictures are counted."""

    def __init__(self, path: Path, fps: Fraction) -> None:
        self.path, self._fps = path, fps
        self._part = part_of(path)
        self._writer: Any = None
        self._n = 0

    def add(self, picture: U8) -> None:
        """Code it."""
        if self._writer is None:
            self._begin(*picture.shape[:2])
        self._writer.write(picture)
        self._n += 1
        if self._n % _CHECK_EVERY == 0 and shutil.disk_usage(self._part.parent).free < _LEAST_FREE:
            raise RecorderError(f"{self.path}: the disk is full; free space on it, or give another path")

    def finish(self) -> None:
        """Complete the file."""
        import cv2

        if self._writer is None:
            return
        self._writer.release()
        written = cv2.VideoCapture(str(self._part))
        n = int(written.get(cv2.CAP_PROP_FRAME_COUNT)) if written.isOpened() else 0
        written.release()
        if n != self._n:
            raise RecorderError(f"{self.path}: {n} of {self._n} pictures reached the disk; free space on it")
        self._part.replace(self.path)

    def discard(self) -> None:
        """Remove the part."""
        if self._writer is not None:
            self._writer.release()
        self._part.unlink(missing_ok=True)

    def _begin(self, height: int, width: int) -> None:
        # OpenCV and FFmpeg would print a line for each picture that is not written.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        import cv2

        cv2.utils.logging.setLogLevel(0)
        _writable(self.path, self._part)
        code = cv2.VideoWriter.fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(str(self._part), code, float(self._fps), (width, height))
        if not self._writer.isOpened():
            raise RecorderError(
                f"{self.path}: OpenCV makes no MPEG-4 video of {width} x {height} pixels here; render to .gif, or to a "
                "folder of pictures"
            )


class Gif:
    """A GIF that repeats for ever, picture by picture, in one table of 256 colours."""

    def __init__(self, path: Path, fps: Fraction, colours: U8) -> None:
        self.path, self._fps = path, fps
        self._part = part_of(path)
        self._file: BinaryIO | None = None
        self._table = _gif_table(colours)
        self._n = 0

    def add(self, picture: U8) -> None:
        """Code it as an image of its own; its time is so rounded that the mean rate is exact."""
        try:
            if self._file is None:
                self._begin(*picture.shape[:2])
            assert self._file is not None
            until, since = (int(n * 100 / self._fps + Fraction(1, 2)) for n in (self._n + 1, self._n))
            self._file.write(b"\x21\xf9\x04\x04" + struct.pack("<H", until - since) + b"\x00\x00")
            self._file.write(self._image(picture))
        except OSError as error:
            raise _failed(self.path, error) from None
        self._n += 1

    def finish(self) -> None:
        """The trailer."""
        if self._file is None:
            return
        try:
            self._file.write(b"\x3b")
            self._file.close()
        except OSError as error:
            raise _failed(self.path, error) from None
        self._part.replace(self.path)

    def discard(self) -> None:
        """Remove the part."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk refuses the rest once more
                self._file.close()
        self._part.unlink(missing_ok=True)

    def _begin(self, height: int, width: int) -> None:
        if max(height, width) > MAX_GIF_SIDE:
            raise RecorderError(f"{self.path}: a GIF holds {MAX_GIF_SIDE} pixels a side, not {width} x {height}")
        self._file = self._part.open("wb")
        self._file.write(b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF7, 0, 0) + bytes(self._palette()))
        self._file.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")

    def _palette(self) -> list[int]:
        return self._table.getpalette() or []

    def _image(self, picture: U8) -> bytes:
        """Image descriptor and coded pixels, cut out of the single GIF that Pillow makes of them."""
        from PIL import Image

        rgb = Image.fromarray(np.ascontiguousarray(picture[:, :, ::-1]))
        indexed = rgb.quantize(palette=self._table, dither=Image.Dither.NONE)
        whole = io.BytesIO()
        indexed.save(whole, "GIF", optimize=False, interlace=False)
        data = whole.getbuffer()
        at = 13 + 3 * 2 ** ((data[10] & 7) + 1)
        while data[at] == 0x21:  # extensions are passed over: label, then blocks behind their lengths
            at += 2
            while data[at]:
                at += data[at] + 1
            at += 1
        return bytes(data[at:-1])


class Png:
    """The last picture that came."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part = part_of(path)
        self._picture: U8 | None = None

    def add(self, picture: U8) -> None:
        """Keep it instead of the one before."""
        self._picture = picture

    def finish(self) -> None:
        """Write the one that is kept."""
        if self._picture is None:
            return
        try:
            self._part.write_bytes(png_bytes(self._picture))
            self._part.replace(self.path)
        except OSError as error:
            raise _failed(self.path, error) from None

    def discard(self) -> None:
        """Remove the part."""
        self._part.unlink(missing_ok=True)


class PngFolder:
    """Pictures `000001.png` and on. Other files of a folder that is there already stay."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part = path.with_name(f".{path.name}.part")
        self._n = 0

    def add(self, picture: U8) -> None:
        """Write it into a folder of another name."""
        try:
            if not self._n:
                shutil.rmtree(self._part, ignore_errors=True)
                self._part.mkdir()
            self._n += 1
            (self._part / f"{self._n:06}.png").write_bytes(png_bytes(picture))
        except OSError as error:
            raise _failed(self.path, error) from None

    def finish(self) -> None:
        """Rename the folder; of one that is there replace the pictures."""
        if not self._n:
            return
        try:
            if not self.path.exists():
                self._part.rename(self.path)
                return
            for old in numbered(self.path):
                old.unlink()
            for new in sorted(self._part.iterdir()):
                new.rename(self.path / new.name)
            self._part.rmdir()
        except OSError as error:
            raise _failed(self.path, error) from None

    def discard(self) -> None:
        """Remove the part."""
        shutil.rmtree(self._part, ignore_errors=True)


def numbered(folder: Path) -> list[Path]:
    """The pictures in a folder that bear a number as their name."""
    return sorted(path for path in folder.iterdir() if NUMBERED.fullmatch(path.name))


def png_bytes(picture: U8) -> bytes:
    """A PNG file of a BGR picture."""
    import cv2

    done, data = cv2.imencode(".png", picture)
    assert done
    return bytes(data.data)


def _gif_table(colours: U8) -> Image:
    """256 colours: those asked for, greys (labels, grey frames), and a coarse cube for colour frames."""
    from PIL import Image

    asked = np.unique(colours.reshape(-1, 3)[:, ::-1], axis=0)
    steps = np.linspace(0, 255, 5).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    greys = np.repeat(np.linspace(0, 255, 256 - len(asked) - len(cube)).astype(np.uint8)[:, None], 3, axis=1)
    table = Image.new("P", (1, 1))
    table.putpalette(np.concatenate([asked, greys, cube]).tobytes())
    return table


def _writable(path: Path, part: Path) -> None:
    """Say in words what OpenCV would not."""
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666))
    except OSError as error:
        raise _failed(path, error) from None


def _failed(path: Path, error: OSError) -> RecorderError:
    return RecorderError(f"{path}: cannot be written: {error.strerror}; free space on the disk, or give another path")

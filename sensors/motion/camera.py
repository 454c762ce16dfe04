"""Recorded human motion before the simulated camera, as a live source and as single clips."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from evpipe.operator import Micros, Param
from evpipe.packets import Events
from sensors.motion.files import cut, read
from sensors.motion.play import MotionPlay
from sensors.motion.retarget import Moves, moves_of
from sensors.simulated import StageCamera, film


class MotionCamera(StageCamera):
    """A simulated person does the motion of `file` (BVH, AMC with ASF, DeepMimic, NTU, points) before a DAVIS346.

    `seed` draws the room, the view, the pixels and where the motion begins; `subject` the person, None: by the seed.
    It never ends: cycles are repeated, on the spot; other motions swing forwards and backwards. The rest as for
    `sensors.simulated.SimulatedCamera`. Raises InputError, when it opens, for a file that is no person's motion.
    """

    def __init__(
        self,
        file: str,
        seed: Annotated[int, Param(min=0)] = 0,
        subject: Annotated[int, Param(min=0)] | None = None,
        size: tuple[int, int] = (260, 346),
        packet_us: Micros = 5_000,
        frame_us: Micros = 40_000,
        threshold: Annotated[float, Param(min=0.05, max=2.0, help="contrast of an event, in log intensity")] = 0.25,
        noise: Annotated[float, Param(min=0.0, max=1000.0, help="scales leak and shot noise")] = 1.0,
        duration_us: Annotated[int, Param(unit="us", min=1)] | None = None,
    ) -> None:
        super().__init__(seed, size, packet_us, frame_us, threshold, noise, duration_us)
        self._file, self._subject = Path(file).expanduser(), subject

    def play(self) -> MotionPlay:
        """The motion; what its reader had to guess or leave out is said."""
        return endless_play(self._file, self._seed, self._subject, self.context.say)


def endless_play(file: Path, seed: int, subject: int | None, say: Callable[[str], None]) -> MotionPlay:
    """The motion of a file, done for ever by a person, by the seed when `subject` is None; `say` hears its notes."""
    motion = read(file)
    for note in motion.notes:
        say(f"{file}: {note}")
    return MotionPlay(moves_of(motion, str(file)), seed if subject is None else subject, seed, 0, None)


def clip_events(
    file: Path,
    seed: int,
    duration_us: int,
    *,
    size: tuple[int, int] = (260, 346),
    threshold: float = 0.25,
    noise: float = 1.0,
    span_s: tuple[float, float] | None = None,
) -> Events:
    """One clip of `duration_us`, from time 0, of one person doing a part of the motion of `file`.

    `seed` (>= 0) draws the person, and anew for every content of a file the room, the light, the camera's view, its
    noise, and the part, which lies in `span_s` (half-open, s; None: anywhere). Motions shorter than the clip are
    repeated if they are cycles, else played forwards and backwards in turn. Equal arguments and files give equal
    events. Raises InputError for a file that is no person's motion, and UsageError for a size or a span out of range.
    """
    play, content = clip_play(file, seed, duration_us, span_s)
    return film(play, duration_us, size, threshold, noise, seed, content)


def clip_play(
    file: Path, seed: int, duration_us: int, span_s: tuple[float, float] | None = None
) -> tuple[MotionPlay, int]:
    """What `clip_events` shows, and the number that draws its room beside the seed."""
    content, moves = _moves(file, file.stat().st_mtime_ns if file.is_file() else 0, span_s)
    return MotionPlay(moves, seed, seed, content, duration_us), content


@lru_cache(maxsize=32)
def _moves(file: Path, changed_ns: int, span_s: tuple[float, float] | None) -> tuple[int, Moves]:  # noqa: ARG001
    """A number for the content of a file, and its moves, read once while the file stays as it is (`changed_ns`)."""
    motion = read(file)
    if span_s is not None:
        motion = cut(motion, span_s, str(file))
    return zlib.crc32(file.read_bytes()), moves_of(motion, str(file))

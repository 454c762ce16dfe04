"""A simulated camera: a person acting in a room, seen by contrast-threshold pixels and an RGB frame sensor.

It stands in for a DAVIS346 (346x260, frames beside events) and knows the truth: who does what, when.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from evpipe.errors import UsageError
from evpipe.operator import Micros, Param, Source
from evpipe.packets import Events, Frame
from sensors import conditions
from sensors.conditions import Camera, Condition, script_for
from sensors.scenes.actions import ACTIONS
from sensors.scenes.pixels import BLOCK_US, packets
from sensors.scenes.pixels import film as film_of
from sensors.scenes.script import BLEND_US, Script
from sensors.scenes.stage import Play, Stage, pixels_before

EXPOSURE_US = conditions.EXPOSURE_US
MIN_PX, MAX_PX = 16, 2_048


class StageCamera(Source):
    """Events and frames of the play that a subclass makes from its parameters.

    `size` is [height, width]; sensor time starts at 0 and ends at `duration_us`, or never; `condition` as of
    `sensors.conditions`. Raises UsageError for a size out of range.
    """

    def __init__(
        self,
        seed: int,
        size: tuple[int, int],
        packet_us: int,
        frame_us: int,
        threshold: float,
        noise: float,
        duration_us: int | None,
        condition: Condition = "normal",
    ) -> None:
        check_size(size)
        self._seed, self._size = seed, size
        self._packet_us, self._frame_us, self._duration_us = packet_us, frame_us, duration_us
        self._threshold, self._noise, self._condition = threshold, noise, condition

    def play(self) -> Play:
        """What is played; asked for once, when the camera opens."""
        raise NotImplementedError

    def open(self) -> None:
        """Compile the kernels, which takes seconds once in a machine's life, and furnish the room."""
        self._camera = Camera(
            self.play(),
            self._size,
            self._seed,
            condition=self._condition,
            threshold=self._threshold,
            noise=self._noise,
            frame_us=self._frame_us,
        )
        next(self._packets())
        self._camera.picture(0)
        height, width = self._size
        how = "" if self._condition == "normal" else f", {self._condition}"
        self.context.say(f"simulated camera {width}x{height}, seed {self._seed}{how}")

    def stream(self) -> Iterator[Events | Frame]:
        """Packets in order of `t1_us`: events on the grid of `packet_us`, a frame every `frame_us`."""
        end = self._duration_us
        exposure = self._camera.exposure_us
        shot = 0
        for packet in self._packets():
            while shot + exposure < packet.t1_us:
                yield self._camera.frame(shot)
                shot += self._frame_us
            yield packet
        while end is not None and shot + exposure <= end:
            yield self._camera.frame(shot)
            shot += self._frame_us

    def _packets(self) -> Iterator[Events]:
        """Events on the grid of packets."""
        return packets(self._camera.pixels(), self._packet_us, self._duration_us)


class SimulatedCamera(StageCamera):
    """A person performs daily actions before a simulated DAVIS346; the same seed gives the same events, always.

    `action` "" shows random actions, `action_us` each; `subject` None a new person for each. `size` is [height,
    width]; `threshold` the mean contrast (log intensity) of an event; `noise` scales leak and shot noise; sensor time
    starts at 0 and ends at `duration_us`, or never. `condition`: dark, with little light for events and frames;
    blurred, with long exposed frames out of focus; static, with people who hold a pose; the same people in the same
    rooms as in normal light. `motion`: a file of recorded motion (BVH, AMC beside its ASF, DeepMimic text, NTU
    .skeleton, points as CSV or JSON) that is done instead of actions, as by `sensors.motion.MotionCamera`. Raises
    UsageError for an action that does not exist, a motion beside an action or `static`, or a size out of range.
    """

    def __init__(
        self,
        seed: Annotated[int, Param(min=0)] = 0,
        subject: Annotated[int, Param(min=0)] | None = None,
        action: str = "",
        action_us: Annotated[int, Param(unit="us", min=500_000)] = 4_000_000,
        size: tuple[int, int] = (260, 346),
        packet_us: Micros = 5_000,
        frame_us: Micros = 40_000,
        threshold: Annotated[float, Param(min=0.05, max=2.0, help="contrast of an event, in log intensity")] = 0.25,
        noise: Annotated[float, Param(min=0.0, max=1000.0, help="scales leak and shot noise")] = 1.0,
        duration_us: Annotated[int, Param(unit="us", min=1)] | None = None,
        condition: Condition = "normal",
        motion: str = "",
    ) -> None:
        if faults := self.check_parameters(action, condition, motion):
            raise UsageError(f"the simulated camera: {'; '.join(faults)}")
        if action:
            _check_action(action)
        self._motion, self._subject = Path(motion).expanduser() if motion else None, subject
        self._script = script_for(condition)(seed, subject, action, action_us)
        super().__init__(seed, size, packet_us, frame_us, threshold, noise, duration_us, condition)

    @staticmethod
    def check_parameters(action: str = "", condition: Condition = "normal", motion: str = "", **_: object) -> list[str]:
        """What is wrong with these values together."""
        if not motion:
            return []
        faults = [f"motion {motion!r} is done instead of actions; leave out action {action!r}"] if action else []
        return faults + (["condition 'static' is for actions, not for a motion"] if condition == "static" else [])

    def play(self) -> Play:
        """The script of subjects and actions, or the recorded motion."""
        if self._motion is None:
            return self._script
        from sensors.motion.camera import endless_play

        return endless_play(self._motion, self._seed, self._subject, self.context.say)

    def label_at(self, t_us: int) -> str:
        """The action at sensor time `t_us`, or the name of the motion; a blend between two counts as the new one."""
        return self._motion.stem if self._motion else self._script.label_at(t_us)

    def segments(self, until_us: int) -> list[tuple[int, int, str, int]]:
        """(t0_us, t1_us, action, subject) of every clip before `until_us`. Nothing is rendered."""
        if self._motion:
            return [(0, until_us, self._motion.stem, self._seed if self._subject is None else self._subject)]
        return self._script.segments(until_us)


def clip_events(
    subject: int,
    action: str,
    clip_seed: int,
    duration_us: int,
    *,
    seed: int = 0,
    size: tuple[int, int] = (260, 346),
    threshold: float = 0.25,
    noise: float = 1.0,
) -> Events:
    """One clip of `duration_us`, from time 0, of one person doing one action; no frames, so faster than the camera.

    `seed` and `subject` (>= 0) choose the person, so that training and test can be split by person; `clip_seed`
    (>= 0) everything else: room, light, camera, view, tempo, phase, noise, anew for each person and action. Equal
    arguments give equal events. Raises UsageError for an action that does not exist or a size out of range.
    """
    script, clip = _clip(subject, action, clip_seed, duration_us, seed)
    return film(script, duration_us, size, threshold, noise, seed, clip)


def clip_camera(
    subject: int,
    action: str,
    clip_seed: int,
    duration_us: int,
    *,
    condition: Condition = "normal",
    seed: int = 0,
    size: tuple[int, int] = (260, 346),
    threshold: float = 0.25,
    noise: float = 1.0,
    frame_us: int = 40_000,
) -> Camera:
    """The camera before the clip of `clip_events`, for its frames and its events under a condition.

    Raises UsageError for an action that does not exist or a size out of range.
    """
    check_size(size)
    script, clip = _clip(subject, action, clip_seed, duration_us, seed, condition)
    return Camera(
        script,
        size,
        seed,
        clip,
        condition=condition,
        threshold=threshold,
        noise=noise,
        frame_us=frame_us,
        oversample=1,
    )


def _clip(
    subject: int, action: str, clip_seed: int, duration_us: int, seed: int, condition: Condition = "normal"
) -> tuple[Script, int]:
    """The script of a clip, and the number that draws its room beside the seed."""
    _check_action(action)
    # Clip 0 is the live camera's; these begin at 1 and differ for each person and action.
    clip = 1 + (clip_seed * 2**20 + subject) * len(ACTIONS) + ACTIONS.index(action)
    return script_for(condition)(seed, subject, action, max(duration_us, BLEND_US) + BLOCK_US, clip), clip


def film(
    play: Play, duration_us: int, size: tuple[int, int], threshold: float, noise: float, seed: int, clip: int
) -> Events:
    """The events of a play from time 0 on; `seed` and `clip` draw the room, the view and the pixels.

    Raises UsageError for a size out of range.
    """
    check_size(size)
    return film_of(
        pixels_before(Stage(play, size, seed, clip, oversample=1), threshold, noise, seed, clip), duration_us
    )


def _check_action(action: str) -> None:
    if action not in ACTIONS:
        raise UsageError(f"the simulated camera knows no action {action!r}; it knows: {', '.join(ACTIONS)}")


def check_size(size: tuple[int, int]) -> None:
    """Raises UsageError for a size out of range."""
    if not all(MIN_PX <= px <= MAX_PX for px in size):
        raise UsageError(
            f"the simulated camera's size must be [height, width], each {MIN_PX} to {MAX_PX} px; found {list(size)}"
        )

"""One recording through all of it: looked through, drawn moment by moment, painted, labelled, written."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from fractions import Fraction

from evpipe.cli.rendering.ahead import Ahead
from evpipe.cli.rendering.caption import Caption
from evpipe.cli.rendering.event_pictures import EventPicture, event_picture
from evpipe.cli.rendering.files import Output, output
from evpipe.cli.rendering.film import Film, Moment
from evpipe.cli.rendering.painting import Box, Painting
from evpipe.cli.rendering.survey import Survey, survey
from evpipe.cli.rendering.wish import Job, Rendered, Wish
from evpipe.errors import InputError, UsageError
from evpipe.operator import Alone
from evpipe.packets import U8
from sensors.formats.detect import open_reader
from sensors.replay import Replay

PACKET_US = 10_000
LOOK_BACK_US = 500_000  # before a single picture that shows a frame
ROOM = {"gif": (640, 480)}
USUAL_ROOM = (1280, 720)
"""Width and height in px that a picture is made to fill by a whole scale."""

Step = Callable[[str, int, int, str], None]


def render(job: Job, wish: Wish, step: Step) -> Rendered:
    """Render one recording; `step(name, done, total, unit)` hears how far it is.

    What is wrong with the recording stands in the answer's `error`, and its good part is rendered all the same. Raises
    RecorderError when the pictures cannot be written, UsageError when the wish does not fit the recording; then, and
    at an interrupt, nothing is left.
    """
    done, began = Rendered(job.path, str(job.out)), time.monotonic()
    try:
        found = _look(job, wish)
        _Studio(job, wish, found, done).work(step)
    except InputError as error:
        done.error = str(error)
    done.wall_s = round(time.monotonic() - began, 3)
    return done


def _look(job: Job, wish: Wish) -> Survey:
    with closing(open_reader(job.path, wish.size, wish.encoding)) as reader:
        if not {"events", "frame"} & set(reader.streams):
            raise InputError(f"{job.path}: has neither events nor frames, so there is nothing to draw")
        found = survey(reader, wish.accumulate_us, wish.from_us, wish.to_us, with_box=wish.crop)
        damaged = bool(reader.account.damage)
    if found.duration_us:
        return found
    if wish.from_us or wish.to_us is not None:
        raise UsageError(f"{job.path}: nothing lies between --from and --to; `evpipe info` tells how long it is")
    what = "is damaged before its first event" if damaged else "holds no events and no frames"
    raise InputError(f"{job.path}: {what}, so there is nothing to draw; `evpipe info` tells more")


class _Said(Alone):
    """Keeps what a recording's reader has to say."""

    def __init__(self, notes: list[str]) -> None:
        self._notes = notes

    def say(self, text: str) -> None:
        """One note."""
        self._notes.append(text)


class _Studio:
    """Everything that one output is made with; `done` is filled in."""

    def __init__(self, job: Job, wish: Wish, found: Survey, done: Rendered) -> None:
        self._job, self._wish, self._found, self._done = job, wish, found, done
        self._single = job.kind == "png"
        self._painting: Painting | None = None
        self._caption: Caption | None = None
        self._output: Output | None = None
        self._frames = wish.frames

    def work(self, step: Step) -> None:
        """All pictures. Raises InputError at the end when the file is damaged."""
        wish, found = self._wish, self._found
        from_us, to_us = self._span()
        step_us = Fraction(wish.accumulate_us) if self._single else wish.step_us
        total = max(1, int(-(-found.duration_us // step_us)))
        replay = Replay(self._job.path, PACKET_US, from_us, to_us, wish.size, wish.encoding)
        replay.context = _Said(self._done.notes)
        replay.open()
        try:
            self._choose_frames(replay.ports() or [])
            drawn = event_picture(wish.mode, wish.accumulate_us)
            film = Film(replay, step_us, drawn)
            damage = self._expose(film, drawn, lambda n: self._tell(step, n, total))
            if self._output is not None:
                self._output.finish()
            self._tell(step, total, total)
        except BaseException:
            if self._output is not None:
                self._output.discard()
            raise
        finally:
            replay.close()
        self._figures(film)
        if damage is not None:
            raise damage

    def _expose(self, film: Film, drawn: EventPicture, told: Callable[[int], None]) -> InputError | None:
        """Each moment into the output; the damage of the file, which comes after the last one."""
        try:
            for n, moment in enumerate(film.moments(), 1):
                self._take(drawn.draw(), drawn.shades, moment)
                told(n)
                self._done.film_s += moment.passed_us / 1e6
        except InputError as error:
            return error
        return None

    def _tell(self, step: Step, n: int, total: int) -> None:
        # A bar ends at its total, and the survey's guess may be one off.
        if not self._single:
            step(self._job.out.name, n if n >= total else min(n, total - 1), total, "pictures")

    def _span(self) -> tuple[int, int | None]:
        """From when to when to read; for a single picture what it needs before its moment."""
        wish = self._wish
        if not self._single:
            return wish.from_us, wish.to_us
        at_us = self._found.lively_us if wish.at_us is None else wish.at_us
        end_us = wish.from_us + self._found.duration_us
        if wish.at_us is not None and at_us > end_us + PACKET_US:
            raise UsageError(f"--at {at_us / 1e6:g}: {self._job.path} ends {end_us / 1e6:.3f} s after its first event")
        back_us = max(4 * wish.accumulate_us, LOOK_BACK_US if wish.frames else 0)
        steps = -(-back_us // wish.accumulate_us)
        return max(wish.from_us, at_us - steps * wish.accumulate_us), max(at_us, 1)

    def _choose_frames(self, ports: list[str]) -> None:
        self._frames = self._wish.frames
        if "events" not in ports:
            self._frames = True
        elif self._frames and "frame" not in ports:
            self._done.notes.append("has no frames, so only events are drawn")

    def _take(self, shades: U8 | None, drawn_shades: int, moment: Moment) -> None:
        """One picture."""
        frame = moment.frame if self._frames else None
        if shades is None and frame is None:
            return
        if self._painting is None:
            self._painting = self._set_up(shades, frame, drawn_shades)
        picture = self._painting.paint(shades, frame)
        if self._caption is None:
            self._caption = self._captioned(picture.shape[0])
        self._caption.draw(picture, moment)
        if self._output is None:
            self._output = Ahead(output(self._job.kind, self._job.out, self._wish.fps, self._painting.table))
        self._output.add(picture)
        self._done.pictures += 1
        self._done.height, self._done.width = picture.shape[:2]

    def _set_up(self, shades: U8 | None, frame: U8 | None, drawn_shades: int) -> Painting:
        wish, box = self._wish, self._found.box
        shape = shades.shape if shades is not None else frame.shape[:2] if frame is not None else (1, 1)
        scale = wish.scale or _fitting(box, shape, ROOM.get(self._job.kind, USUAL_ROOM))
        return Painting(wish.palette, drawn_shades, scale, box)

    def _captioned(self, height: int) -> Caption:
        wish = self._wish
        if self._single:  # the rate is that of its own events, and nothing moves
            items = tuple(item for item in wish.items if item != "speed")
            return Caption(items, height, wish.palette, 1.0, 1.0)
        return Caption(wish.items, height, wish.palette, float(wish.fps), float(wish.slow))

    def _figures(self, film: Film) -> None:
        done = self._done
        done.events, done.sensor_s = film.n_events, round(done.film_s, 6)
        done.film_s = 0.0 if self._single else round(done.pictures / float(self._wish.fps), 6)
        if self._single:
            done.pictures = min(done.pictures, 1)
        for at_us, jump_us in film.jumps:
            done.notes.append(f"time jumps ahead by {jump_us / 1e6:.0f} s after {at_us / 1e6:.3f} s; that is left out")


def _fitting(box: Box | None, shape: tuple[int, ...], room: tuple[int, int]) -> Fraction:
    """The largest whole scale with which the picture fits the room (width, height), or the largest 1 / n."""
    height, width = (box.y1 - box.y0, box.x1 - box.x0) if box else shape[:2]
    larger = min(room[0] // width, room[1] // height)
    return Fraction(larger) if larger >= 1 else Fraction(1, max(-(-width // room[0]), -(-height // room[1])))

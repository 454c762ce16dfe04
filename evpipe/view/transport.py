"""What the window asks of a graph that replays: play, step, jump, speed, and a range that repeats.

It only asks; what it shows comes back from the run, which may also be steered by others (`evpipe ctl`).
"""

from __future__ import annotations

from evpipe.operator import Context, Transport

STEP_US = 20_000
SPEEDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Controls:
    """The transport of one run, for keys. Every method returns what to tell the person, or nothing."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._mark_in_us: int | None = None

    @property
    def now(self) -> Transport:
        """How the run plays now."""
        return self._context.transport()

    def toggle(self) -> str:
        """Pause, or play on."""
        paused = self.now.paused
        self._context.ask("resume" if paused else "pause")
        return ""

    def step(self, forward: bool, picture_us: int) -> str:
        """One step on or back; what plays is paused."""
        if forward:
            self._context.ask("step", time_us=STEP_US)
            return ""
        if not self.now.paused:
            self._context.ask("pause")
        return self.jump(-STEP_US, picture_us, paused=True)

    def jump(self, by_us: int, picture_us: int, paused: bool = False) -> str:
        """So much on or back. A paused run shows the picture of `picture_us` that ends there."""
        return self.go_to(self.now.position_us + by_us, picture_us, paused)

    def go_to(self, position_us: int, picture_us: int, paused: bool = False) -> str:
        """To a position of the recording."""
        now = self.now
        if not now.can_seek:
            return "only recordings can be sought"
        target = max(0, position_us)
        if not (now.paused or paused):
            self._context.ask("seek", t_us=target)
            return ""
        start = max(0, target - picture_us)
        self._context.ask("seek", t_us=start)
        self._context.ask("step", time_us=max(target - start, STEP_US))
        return ""

    def change_speed(self, faster: bool) -> str:
        """To the next speed of the ladder from a hundredth to ten times."""
        rate = self.now.rate
        if faster:
            chosen = next((speed for speed in SPEEDS if speed > rate * 1.001), SPEEDS[-1])
        else:
            chosen = next((speed for speed in reversed(SPEEDS) if speed < rate * 0.999), SPEEDS[0])
        self._context.ask("rate", rate=chosen)
        return f"speed {speed_text(chosen)}"

    def mark_in(self) -> str:
        """A range begins here."""
        self._mark_in_us = self.now.position_us
        return f"a range begins at {self._mark_in_us / 1e6:.3f} s; O ends it"

    def mark_out(self) -> str:
        """The range ends here, and repeats."""
        start, stop = self._mark_in_us or 0, self.now.position_us
        if stop <= start:
            return "a range ends after its beginning; I begins one"
        self._context.ask("mark", start_us=start, stop_us=stop)
        self._context.ask("loop", on=True)
        return f"{start / 1e6:.3f} to {stop / 1e6:.3f} s repeat; R ends that"

    def toggle_loop(self) -> str:
        """Begin anew at the end, or not. Ending it forgets the range."""
        looping = self.now.looping
        self._context.ask("loop", on=not looping)
        if looping:
            self._mark_in_us = None
            self._context.ask("mark")
        return "plays once" if looping else "repeats"


def speed_text(rate: float) -> str:
    """A speed as people say it: 1x, 1/10x."""
    return f"{rate:g}x" if rate >= 1 else f"1/{1 / rate:.0f}x"

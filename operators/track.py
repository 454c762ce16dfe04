"""Boxes get identities over time: ByteTrack-style matching with a Kalman filter, and a rule for things that stand.

After Zhang et al., "ByteTrack" (2022): confident boxes are matched first, then doubtful ones keep tracks alive. An
event camera sees nothing of what stands still, so a track whose events die down where it stopped is held, not lost.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from evpipe.operator import Micros, Operator, Param
from evpipe.packets import Boxes, Events, Mark

F64 = NDArray[np.float64]
Status = Literal["tentative", "active", "lost", "held"]

HIGH, LOW, NEW = 0.5, 0.1, 0.6
FIRST_IOU, SECOND_IOU, TENTATIVE_IOU, DUPLICATE_IOU = 0.2, 0.5, 0.3, 0.85
LOST_US, HELD_US = 1_000_000, 2_000_000
QUIET, STILL_PX = 0.05, 1.0
_FORBIDDEN = 1e6


def predict(mean: F64, variance: F64, periods: float, size: F64) -> tuple[F64, F64]:
    """One Kalman prediction of N independent coordinates under constant velocity.

    `mean` [N, 2] is place and velocity per period, `variance` [N, 2, 2], `size` [N] px scales the noise
    (size / 20)^2 of the place and (size / 160)^2 of the velocity, times `periods`.
    """
    step = np.array([[1.0, periods], [0.0, 1.0]])
    noise = np.zeros_like(variance)
    noise[:, 0, 0], noise[:, 1, 1] = (size / 20) ** 2 * periods, (size / 160) ** 2 * periods
    return mean @ step.T, step @ variance @ step.T + noise


def correct(mean: F64, variance: F64, found: F64, size: F64) -> tuple[F64, F64]:
    """One Kalman update by the places `found` [N], measured with variance (size / 20)^2. Shapes as in `predict`."""
    gain = variance[:, :, 0] / (variance[:, 0, 0] + (size / 20) ** 2)[:, None]
    moved = mean + gain * (found - mean[:, 0])[:, None]
    return moved, variance - gain[:, :, None] * variance[:, None, 0, :]


def iou(a: F64, b: F64) -> F64:
    """Intersection over union [A, B] of boxes [A, 4] and [B, 4] given as cx, cy, w, h in px."""
    lo = np.maximum((a[:, :2] - a[:, 2:] / 2)[:, None], (b[:, :2] - b[:, 2:] / 2)[None])
    hi = np.minimum((a[:, :2] + a[:, 2:] / 2)[:, None], (b[:, :2] + b[:, 2:] / 2)[None])
    shared = (hi - lo).clip(0).prod(-1)
    union = a[:, None, 2:].prod(-1) + b[None, :, 2:].prod(-1) - shared
    ratio: F64 = shared / np.maximum(union, 1e-9)
    return ratio


class TrackedBox:
    """One track: coordinates cx, cy, w, h with velocities per period, votes for its class, and its standing."""

    def __init__(self, number: int, box: F64, score: float, label: int, t_us: int) -> None:
        self.number, self.score, self.hits, self.born_us, self.seen_us = number, score, 1, t_us, t_us
        self.status: Status = "tentative"
        self.votes: dict[int, float] = {label: score}
        size = self._size(box)
        self.mean = np.stack([box, np.zeros(4)], 1)
        self.variance = np.zeros((4, 2, 2))
        self.variance[:, 0, 0], self.variance[:, 1, 1] = (2 * size / 20) ** 2, (10 * size / 160) ** 2
        self.usual_events = 0.0
        self.held_us = 0

    @staticmethod
    def _size(box: F64) -> F64:
        return np.maximum(box[[2, 3, 2, 3]], 1e-3)

    @property
    def box(self) -> F64:
        """Where it is believed to be: cx, cy, w, h px."""
        return self.mean[:, 0]

    @property
    def label(self) -> int:
        """The class with the largest sum of scores; of equals, the lower number."""
        return min(self.votes, key=lambda label: (-self.votes[label], label))

    def predict(self, periods: float) -> None:
        """Move on by so many nominal periods; a held track stays where it is."""
        if self.status != "held":
            self.mean, self.variance = predict(self.mean, self.variance, periods, self._size(self.box))
            self.mean[2:, 0] = np.maximum(self.mean[2:, 0], 1e-3)

    def correct(self, box: F64, score: float, label: int, t_us: int) -> None:
        """Take in the box that it was matched with."""
        self.mean, self.variance = correct(self.mean, self.variance, box, self._size(self.box))
        self.mean[2:, 0] = np.maximum(self.mean[2:, 0], 1e-3)
        self.votes[label] = self.votes.get(label, 0.0) + score
        self.score, self.seen_us = score, t_us
        self.hits += 1


class Track(Operator):
    """Boxes in, the same things with track numbers out: active and held tracks, at every packet of boxes.

    `period_us` is the nominal time between packets, in which velocities are counted. With `events` wired, a track that
    stopped (speed below 1 px a period) and whose box has fallen below 5 % of its usual events is held in place for up
    to 2 s; without, it is lost like any other and dropped after 1 s. Numbers rise and are never used twice, also not
    after a gap or a seek. `classes_apart`: boxes only continue tracks of their own class.
    """

    optional_inputs = ("events",)

    def __init__(
        self,
        period_us: Micros = 50_000,
        classes_apart: bool = True,
        least_score: Annotated[float, Param(min=0.0, max=1.0, help="a new track needs this score")] = NEW,
    ) -> None:
        self._period_us, self._apart, self._new = period_us, classes_apart, least_score
        self._next = 1
        self.reset()

    def open(self) -> None:
        """Compile the assignment ahead of the first packet."""
        from operators.kernels.assign_pairs import assign_pairs

        assign_pairs(np.zeros((1, 1)))

    def reset(self) -> None:
        """Forget all tracks; numbers go on."""
        self.tracks: list[TrackedBox] = []
        self._t_us: int | None = None
        self._counts: NDArray[np.int64] | None = None

    def on_gap(self, gap: Mark) -> None:
        """Missing packets are time passing: the prediction spans them."""

    def on_events(self, events: Events) -> None:
        """Count events per pixel until the next boxes."""
        if self._counts is None or self._counts.shape != (events.height, events.width):
            self._counts = np.zeros((events.height, events.width), np.int64)
        at = events.y.astype(np.int64) * events.width + events.x
        self._counts += np.bincount(at, minlength=self._counts.size).reshape(self._counts.shape)

    def on_boxes(self, boxes: Boxes) -> Boxes:
        """Match a packet's boxes with the tracks."""
        t_us = boxes.t1_us
        if self._t_us is not None and t_us < self._t_us:
            self.context.say(f"time went back from {self._t_us} us to {t_us} us: tracks begin anew")
            self.reset()
        first = self._t_us is None
        if self._t_us is not None:
            for track in self.tracks:
                track.predict((t_us - self._t_us) / self._period_us)
        found = np.stack([boxes.x + boxes.w / 2, boxes.y + boxes.h / 2, boxes.w, boxes.h], 1).astype(np.float64)
        score, label = boxes.score.astype(np.float64), boxes.label
        # Float32 scores: 0.5 stays 0.5, and 0.1 and 0.6 are compared as the detector wrote them.
        high = np.flatnonzero(boxes.score >= np.float32(HIGH))
        low = np.flatnonzero((boxes.score >= np.float32(LOW)) & (boxes.score < np.float32(HIGH)))

        def match(tracks: list[TrackedBox], rows: Any, least: float, weigh: bool) -> tuple[list[TrackedBox], Any]:
            pairs = self._pair(tracks, found[rows], score[rows], label[rows], least, weigh)
            for i, j in pairs:
                k = int(rows[j])
                tracks[i].correct(found[k], float(score[k]), int(label[k]), t_us)
                if tracks[i].status != "tentative" or tracks[i].hits >= 2:
                    tracks[i].status = "active"
            used = {j for _, j in pairs}
            taken = {i for i, _ in pairs}
            return (
                [track for i, track in enumerate(tracks) if i not in taken],
                rows[[j not in used for j in range(len(rows))]],
            )

        known = [track for track in self.tracks if track.status != "tentative"]
        young = [track for track in self.tracks if track.status == "tentative"]
        left, high = match(known, high, FIRST_IOU, True)
        still = [track for track in left if track.status == "active"]
        unmatched, _ = match(still, low, SECOND_IOU, False)
        dropped, high = match(young, high, TENTATIVE_IOU, False)
        gone = {track.number for track in dropped}
        for track in unmatched:
            track.status = "lost"
        self._hold(unmatched, t_us)
        for track in known:
            over = t_us - track.seen_us > LOST_US if track.status == "lost" else False
            if over or (track.status == "held" and t_us - track.held_us > HELD_US):
                gone.add(track.number)
        self.tracks = [track for track in self.tracks if track.number not in gone]
        for k in high[boxes.score[high] >= np.float32(self._new)]:
            track = TrackedBox(self._next, found[k], float(score[k]), int(label[k]), t_us)
            track.status = "active" if first else "tentative"
            self._next += 1
            self.tracks.append(track)
        self._part_duplicates()
        self._t_us = t_us
        self._learn_events()
        return self._packet(boxes)

    def _pair(
        self, tracks: list[TrackedBox], found: F64, score: F64, label: Any, least: float, weigh: bool
    ) -> list[tuple[int, int]]:
        """The (track, box) pairs of least cost 1 - IoU (times the score if `weigh`) whose IoU is at least `least`."""
        if not tracks or not len(found):
            return []
        from operators.kernels.assign_pairs import assign_pairs

        overlap = iou(np.stack([track.box for track in tracks]), found)
        cost = 1.0 - overlap * (score if weigh else 1.0)
        forbidden = overlap < least
        if self._apart:
            forbidden |= np.array([track.label for track in tracks])[:, None] != label[None]
        columns = assign_pairs(np.where(forbidden, _FORBIDDEN, cost))
        return [(i, int(j)) for i, j in enumerate(columns) if j >= 0 and not forbidden[i, j]]

    def _inside(self, track: TrackedBox) -> int:
        assert self._counts is not None
        height, width = self._counts.shape
        cx, cy, w, h = track.box
        x0, x1 = int(max(cx - w / 2, 0)), int(min(np.ceil(cx + w / 2), width))
        y0, y1 = int(max(cy - h / 2, 0)), int(min(np.ceil(cy + h / 2), height))
        return int(self._counts[y0:y1, x0:x1].sum()) if x1 > x0 and y1 > y0 else 0

    def _hold(self, unmatched: list[TrackedBox], t_us: int) -> None:
        if self._counts is None:
            return
        for track in unmatched:
            if np.hypot(*track.mean[:2, 1]) < STILL_PX and self._inside(track) < QUIET * track.usual_events:
                track.status, track.held_us = "held", t_us
                track.mean[:, 1] = 0.0

    def _learn_events(self) -> None:
        """Keep a running mean of each active track's events per packet, then count anew."""
        if self._counts is None:
            return
        for track in self.tracks:
            if track.status in ("active", "tentative"):
                inside = float(self._inside(track))
                track.usual_events = inside if track.hits <= 1 else 0.9 * track.usual_events + 0.1 * inside
        self._counts.fill(0)

    def _part_duplicates(self) -> None:
        """Of an active and a lost track on the same place the younger goes."""
        active = [track for track in self.tracks if track.status == "active"]
        lost = [track for track in self.tracks if track.status == "lost"]
        if not active or not lost:
            return
        same = iou(np.stack([a.box for a in active]), np.stack([b.box for b in lost])) > DUPLICATE_IOU
        gone = {max(active[i].number, lost[j].number) for i, j in zip(*np.nonzero(same), strict=True)}
        self.tracks = [track for track in self.tracks if track.number not in gone]

    def _packet(self, boxes: Boxes) -> Boxes:
        shown = [track for track in self.tracks if track.status in ("active", "held")]
        box = np.array([track.box for track in shown], np.float64).reshape(-1, 4)
        return Boxes(
            t0_us=boxes.t0_us,
            t1_us=boxes.t1_us,
            epoch=boxes.epoch,
            x=(box[:, 0] - box[:, 2] / 2).astype(np.float32),
            y=(box[:, 1] - box[:, 3] / 2).astype(np.float32),
            w=box[:, 2].astype(np.float32),
            h=box[:, 3].astype(np.float32),
            score=np.array([track.score for track in shown], np.float32),
            label=np.array([track.label for track in shown], np.int16),
            track=np.array([track.number for track in shown], np.int32),
            labels=boxes.labels,
        )

"""Scores of a classifier as bars in the order of its labels, with the best one named above them."""

# ruff: noqa: N802 - Qt names the methods that are overridden here
from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QFont, QPainter
from PySide6.QtWidgets import QSizePolicy

from evpipe.packets import F32, Scores
from evpipe.view import theme, words
from evpipe.view.painted import Painted

_EASE_MS = 70.0  # a bar covers two thirds of its way in this time
_HEAD = 54
_ROW, _LOWEST_ROW = 38.0, 15.0


class ClassBars(Painted):
    """Bars keep their places; when not all fit, the highest are shown, still in the order of labels."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = ""
        self._scores: Scores | None = None
        self._seen: F32 = np.zeros(0, np.float32)
        self.setMinimumSize(200, 120)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        """Room for six classes."""
        return QSize(320, _HEAD + 6 * int(_ROW))

    def clear(self) -> None:
        """Forget the scores: the view waits."""
        self._scores = None
        self.update()

    def show_scores(self, scores: Scores, passed_ms: float) -> None:
        """Move the bars towards these scores by the time that passed."""
        new = scores is not self._scores
        if self._scores is None or self._scores.labels != scores.labels:
            self._seen = scores.values.astype(np.float32)
        self._scores = scores
        far = scores.values - self._seen
        if len(far) and float(np.abs(far).max()) > 0.002:
            self._seen = self._seen + far * np.float32(1 - math.exp(-passed_ms / _EASE_MS))
            self.update()
        elif new:
            self._seen = scores.values
            self.update()

    def paint(self, painter: QPainter) -> None:
        """The best label, then a row a class."""
        if self._scores is None:
            theme.waiting(painter, QRectF(self.rect()), self.waiting)
            return
        scores = self._scores
        label, score = scores.best if len(scores.values) else ("none", 0.0)
        self._best(painter, label, score)
        self._lacks(painter, words.lacks(scores))
        full = max(1.0, float(scores.values.max(initial=0.0)))
        room = self.height() - _HEAD
        fitting = max(1, int(room // _LOWEST_ROW))
        rows = np.arange(len(scores.labels))
        if len(rows) > fitting:
            rows = np.sort(np.argsort(-scores.values, kind="stable")[:fitting])
        height = min(_ROW, room / max(1, len(rows)))
        px = 13 if height >= 21 else 12
        painter.setFont(theme.font(px, QFont.Weight.DemiBold))
        names = [name.replace("_", " ") for name in scores.labels]
        widest = max((painter.fontMetrics().horizontalAdvance(name) for name in names), default=0)
        names_px = min(0.45 * self.width(), widest + 14.0)
        for i, k in enumerate(rows):
            best = scores.labels[k] == label and score > 0
            row = QRectF(4, _HEAD + i * height, self.width() - 8, height)
            part = float(self._seen[k]) / full
            self._row(painter, row, names_px, px, names[k], part, float(scores.values[k]), best)

    def _best(self, painter: QPainter, label: str, score: float) -> None:
        line = QRectF(4, 0, self.width() - 8, _HEAD - 14)
        painter.setFont(theme.font(26, QFont.Weight.DemiBold))
        painter.setPen(theme.TEXT if score > 0 else theme.FAINT)
        name = painter.fontMetrics().elidedText(
            label.replace("_", " "), Qt.TextElideMode.ElideRight, int(line.width() - 70)
        )
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, name)
        if score > 0:
            painter.setFont(theme.font(20, QFont.Weight.Normal))
            painter.setPen(theme.ACCENT)
            painter.drawText(line, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, f"{score:.2f}")

    def _lacks(self, painter: QPainter, text: str) -> None:
        painter.setFont(theme.font(12))
        painter.setPen(theme.AMBER)
        painter.drawText(QRectF(4, _HEAD - 19, self.width() - 8, 16), Qt.AlignmentFlag.AlignVCenter, text)

    def _row(
        self, painter: QPainter, row: QRectF, names_px: float, px: int, name: str, part: float, value: float, best: bool
    ) -> None:
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.setFont(theme.font(px, QFont.Weight.DemiBold if best else QFont.Weight.Normal))
        painter.setPen(theme.TEXT if best else theme.SOFT)
        shown = painter.fontMetrics().elidedText(name, Qt.TextElideMode.ElideRight, int(names_px - 8))
        painter.drawText(QRectF(row.left(), row.top(), names_px, row.height()), middle, shown)
        track = QRectF(row.left() + names_px, row.center().y() - 4, row.width() - names_px - 46, 8)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.TRACK)
        painter.drawRoundedRect(track, 4, 4)
        painter.save()
        painter.setClipRect(QRectF(track.left(), track.top(), track.width() * min(max(part, 0.0), 1.0), 8))
        painter.setBrush(theme.ACCENT if best else theme.with_alpha(theme.ACCENT, 0.42))
        painter.drawRoundedRect(track, 4, 4)
        painter.restore()
        painter.setPen(theme.TEXT if best else theme.SOFT)
        box = QRectF(row.right() - 42, row.top(), 42, row.height())
        painter.drawText(box, Qt.AlignmentFlag.AlignRight | middle, f"{value:.2f}")

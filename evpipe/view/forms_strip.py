"""The forms of fusion as a strip: a column a block, a row a form; lit is the one taken now, shaded what was lately."""

# ruff: noqa: N802 - Qt names the methods that are overridden here
from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QFont, QPainter, QPen
from PySide6.QtWidgets import QSizePolicy

from evpipe.view import theme
from evpipe.view.forms import NAMES, Forms
from evpipe.view.painted import Painted

_HEAD, _ROW, _FOOT = 24.0, 19.0, 17.0
_NAMES_PX = 108.0
_SPACE = 3.0
_NARROW_PX = 36.0  # a column this wide has room for a share in digits


class FormsStrip(Painted):
    """Paints the newest Forms. The row of a form that no block ever takes stays, so that rows keep their places."""

    def __init__(self) -> None:
        super().__init__()
        self._forms: Forms | None = None
        self.setFixedHeight(int(_HEAD + len(NAMES) * _ROW + _FOOT))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """A low strip."""
        return QSize(320, self.height())

    def show_forms(self, forms: Forms) -> None:
        """Paint these next."""
        if forms is not self._forms:
            self._forms = forms
            self.update()

    def paint(self, painter: QPainter) -> None:
        """Caption, a row a form, the numbers of the blocks."""
        forms = self._forms
        if forms is None:
            return
        left, right = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight
        middle, centre = Qt.AlignmentFlag.AlignVCenter, Qt.AlignmentFlag.AlignCenter
        painter.setPen(QPen(theme.LINE, 1))
        painter.drawLine(4, 2, self.width() - 4, 2)
        head = QRectF(4, 4, self.width() - 8, _HEAD - 4)
        painter.setFont(theme.font(11, QFont.Weight.Medium))
        painter.setPen(theme.SOFT)
        painter.drawText(head, left | middle, "Form of fusion by block")
        painter.setPen(theme.FAINT)
        painter.drawText(head, right | middle, f"share of the last {forms.n}" if forms.n > 1 else "")
        pitch = (self.width() - 8 - _NAMES_PX) / len(forms.columns)
        for form, name in enumerate(NAMES):
            top = _HEAD + form * _ROW
            taken = form in forms.now
            painter.setFont(theme.font(12))
            painter.setPen(theme.TEXT if taken else theme.SOFT)
            painter.drawText(QRectF(4, top, _NAMES_PX, _ROW), left | middle, f"{form}  {name}")
            for column, now in enumerate(forms.now):
                box = QRectF(4 + _NAMES_PX + column * pitch, top + 1, pitch - _SPACE, _ROW - 3)
                self._cell(painter, box, float(forms.shares[column, form]), form == now)
        painter.setFont(theme.font(11))
        painter.setPen(theme.FAINT)
        foot = _HEAD + len(NAMES) * _ROW
        painter.drawText(QRectF(4, foot, _NAMES_PX, _FOOT), left | middle, "block")
        for column, name in enumerate(forms.columns):
            painter.drawText(QRectF(4 + _NAMES_PX + column * pitch, foot, pitch - _SPACE, _FOOT), centre, name)

    def _cell(self, painter: QPainter, box: QRectF, share: float, now: bool) -> None:
        """Shaded by the share, framed where it is the form taken now."""
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.TRACK)
        painter.drawRoundedRect(box, 3, 3)
        if share > 0:
            painter.setBrush(theme.with_alpha(theme.ACCENT, 0.12 + 0.5 * share))
            painter.drawRoundedRect(box, 3, 3)
        if now:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(theme.TEXT, 1.4))
            painter.drawRoundedRect(box.adjusted(0.7, 0.7, -0.7, -0.7), 3, 3)
        if share > 0 and box.width() >= _NARROW_PX:
            painter.setFont(theme.font(11, QFont.Weight.DemiBold if now else QFont.Weight.Normal))
            painter.setPen(theme.with_alpha(theme.TEXT, 1.0 if now else 0.75))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, f"{100 * share:.0f} %")

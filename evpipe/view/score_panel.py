"""One classifier's answer: bars of its classes, what lacks, and the forms of fusion where it tells of them."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

from evpipe.packets import Scores
from evpipe.view.class_bars import ClassBars
from evpipe.view.forms import Forms
from evpipe.view.forms_strip import FormsStrip


class ScorePanel(QWidget):
    """The bars, and below them the forms, which take no room before the first answer that tells of them."""

    def __init__(self) -> None:
        super().__init__()
        self.bars, self.forms = ClassBars(), FormsStrip()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.bars, 1)
        layout.addWidget(self.forms)
        self.forms.hide()
        self._origin = ""

    def stand_for(self, origin: str) -> None:
        """The port whose answers come next; what another one said goes."""
        if origin != self._origin:
            self._origin = origin
            self.bars.clear()
            self.forms.hide()

    def show_answer(self, scores: Scores, forms: Forms | None, passed_ms: float) -> None:
        """Paint these next; bars move by the time that passed."""
        self.bars.show_scores(scores, passed_ms)
        if forms is not None:
            self.forms.show_forms(forms)
        self.forms.setVisible(forms is not None)

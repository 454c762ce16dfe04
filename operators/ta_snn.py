"""The TA-SNN classifier as an operator: a window of frames in, firing rates of classes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np

from evpipe.errors import NodeError
from evpipe.operator import Operator, Param
from evpipe.packets import F32, Scores, Tensor

if TYPE_CHECKING:
    import torch

    from operators.model_card import Card
    from operators.nets.sliding import SlidingTaSnn


class _Known(NamedTuple):
    """A frame and what the first layer made of it."""

    counts: F32
    currents: torch.Tensor
    mean: torch.Tensor


class Classify(Operator):
    """What happens in a window, by a spiking network with attention over time (Yao et al., ICCV 2021).

    `model`: name or folder of a model. `threads`: compute threads of this node; more than one changes the last bits.
    Takes the windows of a TemporalBin set as the model's card says, at any hop; a frame seen in the window before is
    not convolved again. Gives firing rates in [0, 1] per label, the attention on each frame and, in `extras`, the
    `margin` between the two highest rates. A window's answer looks ahead of its first frame by T - 1 frames.

    Raises NodeError for windows of another shape, UsageError for an unknown model, InputError for a damaged one.
    """

    heavy = True

    def __init__(
        self,
        model: str = "ta_snn_sim",
        engine: Literal["torch"] = "torch",
        threads: Annotated[int, Param(min=1, help="compute threads")] = 1,
    ) -> None:
        self._model, self._threads = model, threads
        self._net: SlidingTaSnn | None = None
        self._known: dict[int, _Known] = {}

    def open(self) -> None:
        """Load the model."""
        import torch

        from operators.model_card import read_card, resolve
        from operators.nets.sliding import SlidingTaSnn
        from operators.nets.stored import load

        torch.set_num_threads(self._threads)
        folder = resolve(self._model)
        self._card: Card = read_card(folder)
        self._net = SlidingTaSnn(load(folder, self._card))
        self.reset()

    def reset(self) -> None:
        """Forget the frames of the window before."""
        self._known = {}

    def on_tensor(self, tensor: Tensor) -> Scores:
        """Classify one window."""
        import torch

        if self._net is None:
            self.open()
        assert self._net is not None
        self._check(tensor)
        with torch.no_grad():
            # Equal borders and equal counts: what was computed for the frame holds.
            known = self._known
            self._known = {}
            for start_us, counts in zip(tensor.edges_us[:-1].tolist(), tensor.values, strict=True):
                frame = known.get(start_us)
                if frame is None or not np.array_equal(frame.counts, counts):
                    kept = np.array(counts, np.float32)
                    frame = _Known(kept, *self._net.currents(torch.from_numpy(kept)))
                self._known[start_us] = frame
            frames = self._known.values()
            rates, attention = self._net.decide(
                torch.stack([frame.currents for frame in frames]), torch.stack([frame.mean for frame in frames])
            )
        low, high = np.sort(rates.numpy())[-2:].tolist()
        return Scores(
            t0_us=tensor.t0_us,
            t1_us=tensor.t1_us,
            epoch=tensor.epoch,
            labels=self._card.labels,
            values=rates.numpy(),
            attention=attention.numpy(),
            kept=np.ones(len(attention), np.bool_),
            lookahead_us=(len(attention) - 1) * self._card.input.frame_us,
            extras={"margin": high - low},
        )

    def _check(self, tensor: Tensor) -> None:
        """Raises NodeError unless the window is what the model was trained on."""
        wanted = self._card.input
        shape = (wanted.frames, 2, *wanted.size)
        steps: Any = np.diff(tensor.edges_us)
        if tensor.axes == "TPHW" and tensor.values.shape == shape and (steps == wanted.frame_us).all():
            return
        found = f"axes {tensor.axes}, shape {list(tensor.values.shape)}, frames of {_lengths(steps)} us"
        raise NodeError(
            f"model '{self._card.name}' takes windows of axes TPHW, shape {list(shape)}, frames of "
            f"{wanted.frame_us} us; this window has {found}. Give the TemporalBin that feeds this node "
            f"window: {wanted.window_us}us, frames: {wanted.frames}, size: {list(wanted.size)} "
            f"and a hop that is a multiple of {wanted.frame_us}us"
        )


def _lengths(steps: Any) -> str:
    """Distinct frame lengths, in order."""
    return " and ".join(str(length) for length in np.unique(steps)) or "no"

"""The TA-SNN classifier as an operator: frames in, firing rates of classes out, by window or step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from evpipe.errors import NodeError, UsageError
from evpipe.operator import Operator, Param
from evpipe.packets import Mark, Scores, Tensor
from operators.engines import EngineName

if TYPE_CHECKING:
    from operators.model_card import Card
    from operators.streaming.causal import Causal
    from operators.streaming.layers import Decision
    from operators.streaming.window import Windows

Form = Literal["hopping", "tumbling", "causal"]
GateRule = Literal["none", "threshold", "quantile", "min_events"]
STEPWISE = ("none", "csa_step", "asa_step")


class Classify(Operator):
    """What happens, by a spiking network with attention over time (Yao et al., ICCV 2021).

    Takes the windows of a TemporalBin set as the model's card says, at any hop, and gives firing rates in [0, 1] per
    label, the attention on each of the window's frames and which of them entered.

    `model`: name or folder of a model.
    `form`: "hopping" decides on every window, exactly as the network answers on that window alone; "tumbling" only on
    windows that share no frame with the one decided before; "causal" carries the neurons' state on, advances by one
    step for each frame it has not seen, and answers with the mean of the last T steps. Causal scores come from the past
    alone (running statistics for "c2", the newest slot for "se"), and the state begins anew at gaps, steps back in time
    and seeks. `carry_state`, for tumbling: neurons go on from one window to the next that follows at once, in place of
    rest. `lookahead`, for causal: attention "se" scores a frame once it has seen so many later ones; every place that
    has it (raw frames, each layer's currents) makes decisions so many frames later, which `lookahead_us` counts up.
    Attention of frames that are not scored yet is 0, and they are not kept.
    `gate`: frames that do not enter, by `gate_value`: "threshold" scores below it; "quantile" that share of the lowest
    scores (of the window, or of the last 8 windows where causal); "min_events" frames of fewer events. Of a window at
    least one frame enters. `gate_mode`: a frame that does not enter is not there ("skip"), lets the neurons decay and
    answers 0 ("decay"), or is empty ("zero_frame"). `gate_weight`: frames that enter count by their score or by one.
    `engine`: who computes; "auto" is the fastest that is always installed, "onnxruntime" and "openvino" are extras,
    "compile" needs a C++ compiler and takes seconds to open. Engines agree up to rounding, which may move a spike that
    lies within 1e-5 of its threshold.
    `threads`: compute threads of this node, for engines other than event_driven, which needs one; more than one may
    change the last bits.

    In `extras`: `margin` between the two highest rates; `warm` 1 when T frames went in; `held` 1 when no new frame
    entered and the decision before is repeated; `kept_share` of the new frames that entered; `delay_us`, how long
    before the window's end the oldest event lies that no decision before has heard of. `lookahead_us`: T - 1 frames for
    windows; where causal 0, or what `lookahead` costs in all.

    Raises NodeError for windows of another shape, UsageError for an unknown model, an engine that is not installed or
    a form or gate that the model does not have, InputError for a damaged model.
    """

    heavy = True

    def __init__(
        self,
        model: str = "ta_snn_sim",
        form: Form = "hopping",
        gate: GateRule = "none",
        gate_value: Annotated[float, Param(min=0, help="what the gate compares with")] = 0.0,
        gate_mode: Literal["skip", "decay", "zero_frame"] = "skip",
        gate_weight: Literal["score", "one"] = "score",
        engine: EngineName = "auto",
        threads: Annotated[int, Param(min=1, help="compute threads")] = 1,
        carry_state: Annotated[bool, Param(help="tumbling: neurons go on from window to window")] = False,
        lookahead: Annotated[int, Param(min=0, help="causal: later frames that attention may see")] = 0,
    ) -> None:
        faults = self.check_parameters(
            gate=gate, gate_value=gate_value, form=form, carry_state=carry_state, lookahead=lookahead
        )
        if faults:
            raise UsageError(f"Classify: {'; '.join(faults)}")
        self._model, self._form, self._engine, self._threads = model, form, engine, threads
        self._gate = (gate, gate_value, gate_mode, gate_weight)
        self._carry, self._lookahead = carry_state, lookahead
        self._windows: Windows | None = None
        self._causal: Causal | None = None
        self._known_us: int | None = None
        self._epoch = 0

    @staticmethod
    def check_parameters(
        *, gate: str, gate_value: float, form: str, carry_state: bool, lookahead: int, **_: object
    ) -> list[str]:
        """What is wrong with these values together; `evpipe check` shows it."""
        if carry_state and form != "tumbling":
            return [f"carry_state needs form: tumbling; windows of form '{form}' do not follow one another"]
        if lookahead and form != "causal":
            return [f"lookahead needs form: causal; attention of form '{form}' sees its whole window anyway"]
        if gate == "none" and gate_value != 0:
            return [f"gate_value is {gate_value} without a gate; choose gate: threshold, quantile or min_events"]
        if gate == "threshold" and gate_value > 1:
            return [f"gate_value is {gate_value}; scores lie between 0 and 1, so must the threshold"]
        if gate == "quantile" and gate_value >= 1:
            return [f"gate_value is {gate_value}; the share of frames to leave out must lie in [0, 1)"]
        return []

    def open(self) -> None:
        """Load the model."""
        import torch

        from operators.engines.choice import make
        from operators.model_card import read_card, resolve
        from operators.nets.stored import load
        from operators.streaming.causal import Causal
        from operators.streaming.gate import Gate
        from operators.streaming.window import Windows

        torch.set_num_threads(self._threads)
        folder = resolve(self._model)
        card: Card = read_card(folder)
        self._refuse_what_it_cannot(card)
        self._card = card
        net = load(folder, card)
        engine = make(self._engine, net, card.input.size, card.input.frames, self._threads)
        gate = Gate(*self._gate)
        if self._form == "causal":
            self._causal = Causal(net, engine, card.input.frames, gate, self._lookahead)
        else:
            self._windows = Windows(net, engine, gate, carry=self._carry)
        # What is compiled on first use is compiled now, not while the first events wait.
        number = card.input.frames + (0 if self._causal is None else self._causal.late)
        self._decide(np.ones((number, 2, *card.input.size), np.float32), np.arange(number))
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self._known_us = None
        if self._windows is not None:
            self._windows.reset()
        if self._causal is not None:
            self._causal.reset()

    def on_gap(self, gap: Mark) -> None:
        """Windows are missing: a carried state would tell of another time."""
        self.reset()

    def on_tensor(self, tensor: Tensor) -> Scores | None:
        """Decide on one window; None where the form does not."""
        if self._windows is None and self._causal is None:
            self.open()
        self._check(tensor)
        if tensor.epoch != self._epoch or (self._known_us is not None and tensor.t1_us < self._known_us):
            self.reset()
            self._epoch = tensor.epoch
        if self._form == "tumbling" and self._known_us is not None and tensor.t0_us < self._known_us:
            return None
        continues, new = self._continued(tensor)
        if not continues:
            if self._causal is not None:
                self._causal.reset()
            if self._windows is not None and self._carry:
                self._windows.reset()
        decision = self._decide(tensor.values, tensor.edges_us[:-1], new)
        self._known_us = tensor.t1_us
        return self._scores(tensor, decision, new, continues=continues)

    def _decide(self, counts: NDArray[np.float32], starts_us: NDArray[np.int64], new: int | None = None) -> Decision:
        """The decision on a window of counts, of which the last `new` frames (None: all) were not seen before."""
        if self._causal is None:
            assert self._windows is not None
            return self._windows.decide(starts_us.tolist(), counts)
        for frame in counts[len(counts) - (len(counts) if new is None else new) :]:
            self._causal.step(frame)
        return self._causal.decide()

    def save(self) -> dict[str, NDArray[Any]]:
        """The carried state as arrays; a node given them by `restore` goes on with the same bits. Opened nodes only."""
        state: dict[str, NDArray[Any]] = {} if self._causal is None else dict(self._causal.save())
        if self._windows is not None:
            state |= {name: array.copy() for name, array in self._windows.state().items()}
        known_us = -1 if self._known_us is None else self._known_us
        return state | {"known_us": np.array(known_us, np.int64), "epoch": np.array(self._epoch, np.int64)}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from what `save` gave. Raises ValueError for the state of another network."""
        self.reset()
        rest = dict(state)
        known_us, self._epoch = int(rest.pop("known_us")), int(rest.pop("epoch"))
        if self._causal is not None:
            self._causal.restore(rest)
        if self._windows is not None:
            arrays = self._windows.state()
            if {name: array.shape for name, array in arrays.items()} != {name: a.shape for name, a in rest.items()}:
                raise ValueError("a state of another network or form")
            for name, array in arrays.items():
                array[...] = rest[name]
        self._known_us = None if known_us < 0 else known_us

    def _continued(self, tensor: Tensor) -> tuple[bool, int]:
        """Whether the window goes on where the one before ended, and how many of its frames that one did not hold."""
        frames, frame_us = self._card.input.frames, self._card.input.frame_us
        if self._known_us is None or tensor.t0_us > self._known_us or (tensor.t1_us - self._known_us) % frame_us:
            return False, frames
        return True, (tensor.t1_us - self._known_us) // frame_us

    def _scores(self, tensor: Tensor, decision: Decision, new: int, *, continues: bool) -> Scores:
        low, high = np.sort(np.append(decision.rates, np.float32(0)))[-2:].tolist()
        frames, frame_us = self._card.input.frames, self._card.input.frame_us
        late, unscored = (0, 0) if self._causal is None else (self._causal.late, self._causal.frames_late)
        # The frames that came to be scored now: as many as are new, or all but those that wait.
        scored = decision.kept[max(0, frames - unscored - new) : frames - unscored]
        return Scores(
            t0_us=tensor.t0_us,
            t1_us=tensor.t1_us,
            epoch=tensor.epoch,
            labels=self._card.labels,
            values=decision.rates,
            attention=decision.scores,
            kept=decision.kept,
            lookahead_us=(late if self._form == "causal" else frames - 1) * frame_us,
            extras={
                "margin": high - low,
                "warm": float(decision.warm),
                "held": float(decision.held),
                "kept_share": float(scored.mean()) if len(scored) else 0.0,
                "delay_us": float((new + late if continues else new) * frame_us),
            },
        )

    def _refuse_what_it_cannot(self, card: Card) -> None:
        """Raises UsageError for a form or gate that the model's attention does not allow."""
        attention = card.network.attention
        if self._form == "causal" and attention.spatial not in STEPWISE:
            raise UsageError(
                f"model '{card.name}' has attention over space '{attention.spatial}', which looks at whole windows; "
                f"form 'causal' needs one of {', '.join(STEPWISE)}. Choose form: hopping or tumbling"
            )
        if self._lookahead and "se" not in (attention.frames, attention.currents):
            raise UsageError(
                f"model '{card.name}' has no attention 'se', which alone may see later frames; leave lookahead out"
            )
        if self._lookahead >= card.input.frames:
            raise UsageError(
                f"lookahead is {self._lookahead}; attention of model '{card.name}' sees {card.input.frames} frames, "
                f"so it can be {card.input.frames - 1} at most"
            )
        if self._gate[0] in ("threshold", "quantile") and attention.frames == "none":
            raise UsageError(
                f"model '{card.name}' has no attention on frames, so gate '{self._gate[0]}' has no scores to go by; "
                "choose gate: min_events or none"
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

"""The fusion classifier as an operator: pairs of a picture and its events in, probabilities of classes out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from evpipe.errors import UsageError
from evpipe.operator import Operator, Param
from evpipe.packets import F32, U8, Events, FramePair, Scores

if TYPE_CHECKING:
    import torch

    from operators.fusion_card import FusionCard
    from operators.nets.mmhco import Mmhco
    from operators.streaming.pair_ring import PairDecision, PairEntry, PairRing
    from operators.streaming.routes import RouteCounts


class Classify(Operator):
    """What happens, by a network that looks at a picture and the events of its exposure together (MMHCO-HAR).

    Takes pairs of a Pair; the network answers on each alone. A decision is the softmax of the mean of the logits of the
    last `pairs` of them (float64, made anew each time), so it equals the network's answer on that clip. Its span begins
    with the oldest of them.

    `model`: name or folder of a fusion model. `pairs` and `stride`: how many pairs a decision rests on and the sensor
    time from one to the next, 0 for every pair; None takes those of the model's card. Pairs between are not computed.
    `roi`: [top, left, height, width] of the part of both pictures that is looked at, px; None is the largest centred
    one. `modalities`: what is looked at of a pair; a pair that lacks the other runs without it, one that lacks both
    gives no answer. `route_force`: the form of fusion in every block; None lets the routers choose.
    `threads`: compute threads of this node; more than one may change the last bits.

    In `extras`: `n` pairs in the decision and `complete` 1 when these are all; `margin` between the two highest
    probabilities; `rgb`, `events` 1 where the newest pair had them; `untold` 1 where its events are incomplete; `on`,
    `off` events of it; `lag_us` of its picture; `form_1` ... the form of each block (0 identity, 1 difference, 2 cross
    gate; with routes per picture `form_1_rgb`, `form_1_events` ...); `route_margin`, the least margin of its routers,
    where one decided; `route_entropy` in nats of the forms lately taken, mean over blocks; `session`.

    A stamp that goes back by more than a pair begins a new session. Raises UsageError for an unknown model, one whose
    context looks across a clip, or a `roi` beyond the picture; InputError for a damaged model.
    """

    heavy = True

    def __init__(
        self,
        model: str,
        pairs: Annotated[int | None, Param(min=1, help="pairs in a decision")] = None,
        stride_us: Annotated[int | None, Param(unit="us", min=0)] = None,
        roi: tuple[int, int, int, int] | None = None,
        modalities: Literal["both", "rgb", "events"] = "both",
        route_force: Literal[0, 1, 2] | None = None,
        threads: Annotated[int, Param(min=1, help="compute threads")] = 1,
    ) -> None:
        self._model, self._pairs, self._stride_us, self._roi = model, pairs, stride_us, roi
        self._modalities, self._route_force, self._threads = modalities, route_force, threads
        self._epoch = 0
        self._session = 0
        self._net: Mmhco | None = None
        self._lacking = 0

    def open(self) -> None:
        """Load the model and compute what does not depend on pictures."""
        import torch

        from operators.fusion_card import read_fusion_card
        from operators.model_card import resolve
        from operators.streaming.pair_ring import PairRing
        from operators.streaming.routes import RouteCounts

        torch.set_num_threads(self._threads)
        folder = resolve(self._model)
        self._card: FusionCard = read_fusion_card(folder)
        given, network = self._card.input, self._card.network
        self._looks = [
            self._modalities in ("both", name) and m in network.present for m, name in enumerate(("rgb", "events"))
        ]
        if not any(self._looks):
            raise UsageError(
                f"model '{self._card.name}' takes {network.modalities} alone, modalities is {self._modalities}; "
                f"choose modalities: both"
            )
        net = load(folder, self._card)
        if self._route_force is not None:
            net.route_force = self._route_force
        self._net = net.frozen()
        self._ring: PairRing = PairRing(
            given.pairs if self._pairs is None else self._pairs,
            given.stride_us if self._stride_us is None else self._stride_us,
        )
        self._routes: RouteCounts = RouteCounts(network.blocks, 3)
        # What is compiled on first use is compiled now, not while the first pairs wait.
        blank = np.zeros(given.sensor, np.uint8)
        column = np.zeros(0, np.uint16)
        self._answer(
            FramePair(
                t0_us=0,
                t1_us=1,
                image=blank,
                t=column.astype(np.int64),
                x=column,
                y=column,
                p=column.astype(np.uint8),
                width=given.sensor[1],
                height=given.sensor[0],
            )
        )

    def reset(self) -> None:
        """Forget all pairs."""
        from operators.streaming.pair_ring import PairRing

        if self._net is not None:
            # A ring of its own: sessions count from 0 in every epoch, and in every recording of a batch.
            self._ring = PairRing(self._ring.size, self._ring.stride_us)
            self._routes.reset()
        self._session = self._lacking = 0

    def on_frame_pair(self, pair: FramePair) -> Scores | None:
        """Decide with one pair more; None where it does not enter."""
        if self._net is None:
            self.open()
        if pair.epoch != self._epoch:
            self._epoch = pair.epoch
            self.reset()
        if not self._ring.admits(pair.t0_us, pair.t1_us):
            return None
        if self._ring.session != self._session:
            self._session = self._ring.session
            self._routes.reset()
        entry = self._answer(pair)
        if entry is None:
            self._lacking += 1
            return None
        if self._card.network.route_scope == "pair" and all(entry.valid):
            self._routes.add(entry.routes[:, 0])
        return self._scores(pair, entry, self._ring.push(entry))

    def on_end(self) -> None:
        """Say what was left out, and which forms were taken."""
        if self._net is None:
            return
        if self._ring.late:
            self.context.say(f"{self._ring.late} pairs came after a later one and were left out")
        if self._lacking:
            self.context.say(f"{self._lacking} pairs had nothing of what is looked at and were left out")
        if self._routes.counts.any():
            counts = ", ".join("/".join(str(n) for n in block) for block in self._routes.counts.tolist())
            self.context.say(f"pairs by form (identity/difference/cross gate), block by block: {counts}")

    def _answer(self, pair: FramePair) -> PairEntry | None:
        """The network's answer on a pair; None where nothing of what is looked at is there."""
        import torch

        from operators.event_picture import paint_events
        from operators.streaming.pair_ring import PairEntry

        assert self._net is not None
        valid = (self._looks[0] and pair.has_image, self._looks[1] and pair.has_events)
        if not any(valid):
            return None
        rgb = self._picture(pair.image) if valid[0] else None
        events = None
        if valid[1]:
            painted = paint_events(_events_of(pair), pair.t0_us, pair.t1_us)
            if painted.outside:
                self.context.say(
                    f"{painted.outside} events of {pair.t0_us} us to {pair.t1_us} us left out: outside the sensor of "
                    f"{pair.width} x {pair.height} pixels"
                )
            events = self._picture(painted.picture)
        with torch.inference_mode():
            answer = self._net.pair_logits(rgb, events)
        routes = answer.routes[0].reshape(self._card.network.blocks, -1).numpy().astype(np.uint8)
        margins: F32 = answer.margins[0].reshape(routes.shape).numpy().astype(np.float32)
        logits: F32 = answer.logits[0].numpy().astype(np.float32)
        return PairEntry(pair.t0_us, pair.t1_us, logits, routes, margins, valid)

    def _picture(self, picture: U8) -> torch.Tensor:
        """A picture as the network takes it, float32 [1, 3, h, w]."""
        import torch

        from operators.event_picture import Region, normalised, shrunk

        region = None if self._roi is None else Region(*self._roi)
        return torch.from_numpy(normalised(shrunk(picture, self._card.network.layout.size, region)[None]))

    def _scores(self, pair: FramePair, entry: PairEntry, decision: PairDecision) -> Scores:
        low, high = np.sort(np.append(decision.probabilities, 0.0))[-2:].tolist()
        on = int(np.count_nonzero(pair.p))
        extras = {
            "n": float(decision.n),
            "complete": float(decision.complete),
            "margin": high - low,
            "rgb": float(entry.valid[0]),
            "events": float(entry.valid[1]),
            "untold": float(not pair.complete),
            "on": float(on),
            "off": float(len(pair.p) - on),
            "lag_us": float(pair.lag_us),
        }
        suffixes = ("_rgb", "_events") if entry.routes.shape[1] == 2 else ("",)
        for block, forms in enumerate(entry.routes.tolist(), 1):
            extras |= {f"form_{block}{suffix}": float(form) for suffix, form in zip(suffixes, forms, strict=True)}
        least = float(entry.margins.min())
        if np.isfinite(least):
            extras["route_margin"] = least
        extras["route_entropy"] = float(self._routes.entropy().mean())
        extras["session"] = float(decision.session)
        none = np.zeros(0, np.float32)
        return Scores(
            t0_us=pair.t1_us - decision.span_us,
            t1_us=pair.t1_us,
            epoch=pair.epoch,
            labels=self._card.labels,
            values=decision.probabilities.astype(np.float32),
            attention=none,
            kept=none.astype(np.bool_),
            extras=extras,
        )


def load(folder: Path, card: FusionCard) -> Mmhco:
    """The trained network of a fusion model's folder, for streams. Raises InputError where file and card differ."""
    import torch

    from operators.model_card import read_arrays
    from operators.nets.mmhco import Mmhco

    net = Mmhco(card.network, len(card.labels), streaming=True)
    state: dict[str, Any] = net.state_dict()
    wanted = {name: tuple(tensor.shape) for name, tensor in state.items() if tensor.is_floating_point()}
    for name, array in read_arrays(folder, "network", wanted).items():
        state[name].copy_(torch.from_numpy(array))
    return net


def _events_of(pair: FramePair) -> Events:
    """The events of a pair as a packet of their own."""
    return Events(
        t0_us=pair.t0_us, t1_us=pair.t1_us, t=pair.t, x=pair.x, y=pair.y, p=pair.p, width=pair.width, height=pair.height
    )

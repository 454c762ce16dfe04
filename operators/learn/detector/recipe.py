"""What the training of one detector is: network, input, data with boxes, schedule. A file in configs/recipes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from evpipe.errors import UsageError
from operators.detector_network import STRIDES, Anchors, Detector, DetectorKind, LeakyNeuron, layout
from operators.learn.recipe import Positive, Share, Span, Split
from operators.network import Count
from operators.strict_yaml import read

if TYPE_CHECKING:
    from operators.detector_card import BinInput

Factor = tuple[Positive, Positive]
AtLeastZero = Annotated[float, msgspec.Meta(ge=0)]


class DetectorNetwork(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The detector but for its classes, which come from the data; fields as of `operators.detector_network.Detector`.

    `anchors` None: fitted to the training boxes. `units` "relu" trains the same layout with ReLU in place of spiking
    neurons, to compare.
    """

    kind: DetectorKind = "tiny8"
    inputs: Count = 2
    anchors: Anchors | None = None
    readout: Literal["mean", "last", "lif_mem"] = "mean"
    shortcut_lif: bool = True
    analog_head: bool = False
    neuron: LeakyNeuron = LeakyNeuron()
    units: Literal["spike", "relu"] = "spike"

    def of(self, classes: int, anchors: Anchors | None = None) -> Detector:
        """The detector for so many classes; `anchors` count where the recipe gives none."""
        return Detector(
            kind=self.kind,
            classes=classes,
            inputs=self.inputs,
            anchors=self.anchors or anchors,
            readout=self.readout,
            shortcut_lif=self.shortcut_lif,
            analog_head=self.analog_head,
            neuron=self.neuron,
        )


class Scenes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Numbers of the scenes of one split, a half-open range; each gives one clip."""

    scenes: Span


class Simulated(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="source", tag="simulated"
):
    """Clips of `clip_us` of simulated scenes with exact boxes: traffic on a road, or moving shapes.

    `light` auto: by day or by night, as a scene's number draws it. `rooms` is the share of clips that show a person in
    a room instead (label pedestrian; road only), so that someone before a desk is found as well.
    """

    scene: Literal["road", "shapes"] = "road"
    clip_us: Count = 2_500_000
    light: Literal["auto", "day", "night"] = "auto"
    rooms: Share = 0.0
    train: Scenes = Scenes(scenes=(0, 240))
    validation: Scenes = Scenes(scenes=(100_000, 100_040))
    test: Scenes = Scenes(scenes=(200_000, 200_060))

    def scenes(self, split: Split) -> range:
        """Those of one split."""
        return range(*{"train": self.train, "validation": self.validation, "test": self.test}[split].scenes)


class Folder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="source", tag="folder"):
    """Recordings of any format that evpipe reads, below `path`, with boxes beside them.

    Boxes are in NAME_bbox.npy (Prophesee's), NAME.boxes.csv, or one boxes.csv of a folder, with the columns t_us, x, y,
    w, h, label (and track; a boxes.csv of several recordings also recording); see `operators.learn.detector.folder`.
    The layout of PEDRo (numpy/SPLIT/*.npy with yolo/ or xml/) is known, too.

    Where `path` holds folders named train and test (and validation), those are the splits; what is missing of them is
    taken from train. Else recordings are dealt 60/20/20 in a fixed, shuffled order; with `group`, a regular expression,
    those whose names give the same match (of its first group) stay together. `split` "none" gives every split all
    recordings, to measure a model on them.
    `clip_us` None: 2.5 s where boxes lie on a grid of bins, else as long as the bins of one answer. `tolerance_us`: so
    far from a bin's end a box may be and still tell of it (None: a fifth of a bin). `labels`: the classes in their
    order, for files that number them, or to take these only.
    """

    path: str
    clip_us: Count | None = None
    split: Literal["recordings", "none"] = "recordings"
    group: str | None = None
    tolerance_us: Annotated[int, msgspec.Meta(ge=0)] | None = None
    labels: tuple[str, ...] | None = None


Data = Simulated | Folder


class BinWindow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The network's input: `bins` bins of `bin_us` each, on pictures of `size` [height, width], multiples of 32.

    `encode` pol2: two channels, 1 where a pixel had an event of that polarity. `sensor` [height, width] is the geometry
    of the data; None takes that of the recordings.
    """

    bin_us: Count = 50_000
    bins: Count = 5
    size: tuple[Count, Count] = (160, 192)
    encode: Literal["pol2"] = "pol2"
    sensor: tuple[Count, Count] | None = None

    def on(self, sensor: tuple[int, int]) -> BinInput:
        """The input of a card, for data of this geometry."""
        from operators.detector_card import BinInput

        return BinInput(
            bin_us=self.bin_us, bins=self.bins, size=self.size, encode=self.encode, sensor=self.sensor or sensor
        )


class Sampling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which boxes are learnt, and which windows validation looks at.

    Not learnt: boxes with fewer than `least_events` events in the bins of an answer, or fewer than `least_density` of
    them a pixel of the network's input (what noise alone gives a large box), of which less than `least_seen` is
    visible, or with a side below `least_px` sensor pixels. `windows_per_clip`: labelled bins, evenly spread over a
    clip, where validation asks for boxes (None: every `bins`-th).
    """

    least_events: Annotated[int, msgspec.Meta(ge=0)] = 20
    least_density: AtLeastZero = 0.0
    least_seen: Share = 0.3
    least_px: AtLeastZero = 5.0
    windows_per_clip: Count | None = None


class Augment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes to a training window, the same for all of its bins and its boxes.

    `flip`: how often it is mirrored; `polarity`: how often ON and OFF are exchanged; `shift`: largest move as a share
    of a side; `zoom`: range of the change in size; `keep`: range of the share of events that stays; `noise`: most
    random events added per pixel, polarity and bin.
    """

    flip: Share = 0.5
    polarity: Share = 0.0
    shift: Share = 0.1
    zoom: Factor = (0.8, 1.25)
    keep: tuple[Share, Share] = (0.7, 1.0)
    noise: AtLeastZero = 0.002


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """AdamW: `updates` an epoch, `warm_up` updates up to `learning_rate`, then a cosine to `final_learning_rate`.

    `gradient_norm`: longer gradients are cut to it. An average of the weights (`ema_decay`, `ema_ramp`) is measured and
    kept. In the last `burn_in` share of the epochs windows begin in a state carried over 0 to 3 answers' bins, for
    detectors that run on and on. `precision` "bfloat16" computes convolutions in 16 bits where that is faster.
    """

    epochs: Count = 30
    updates: Count = 100
    batch: Count = 8
    learning_rate: Positive = 3e-3
    final_learning_rate: Positive = 3e-5
    weight_decay: AtLeastZero = 5e-4
    warm_up: Annotated[int, msgspec.Meta(ge=0)] = 100
    gradient_norm: Positive = 10.0
    ema_decay: Share = 0.999
    ema_ramp: Positive = 200.0
    burn_in: Share = 0.3
    precision: Literal["float32", "bfloat16"] = "float32"


class DetectorRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole recipe. `compare`: the same layout with ReLU is trained beside it, for the report."""

    evpipe_recipe: Literal[1]
    task: Literal["detect"]
    name: str
    data: Data
    about: str = ""
    licence: str = "not stated"
    network: DetectorNetwork = DetectorNetwork()
    input: BinWindow = BinWindow()
    sampling: Sampling = Sampling()
    augment: Augment = Augment()
    schedule: Schedule = Schedule()
    compare: bool = False
    seed: int = 0


def read_recipe(path: Path) -> DetectorRecipe:
    """The recipe of a file. Raises UsageError naming file, line, field, rule and value.

    Data is looked for where its path says, from the current folder on, else from the recipe's folder on.
    """
    recipe = read(path, DetectorRecipe)
    check(recipe, str(path))
    if isinstance(recipe.data, Folder) and not Path(recipe.data.path).expanduser().exists():
        beside = path.parent / recipe.data.path
        if beside.exists():
            data = msgspec.structs.replace(recipe.data, path=str(beside))
            return msgspec.structs.replace(recipe, data=data)
    return recipe


def check(recipe: DetectorRecipe, place: str) -> None:
    """Raises UsageError for values that do not fit together; `place` names the recipe."""
    window, coarsest = recipe.input, STRIDES[-1]
    if any(side % coarsest for side in window.size):
        raise UsageError(f"{place}: input.size is {list(window.size)}; both sides must be multiples of {coarsest}")
    if recipe.network.inputs != 2:
        raise UsageError(f"{place}: network.inputs is {recipe.network.inputs}; encode 'pol2' gives two channels")
    try:
        layout(recipe.network.of(1))
    except ValueError as error:
        raise UsageError(f"{place}: network: {error}") from None
    clip_us = recipe.data.clip_us
    if clip_us is not None and (clip_us % window.bin_us or clip_us < window.bins * window.bin_us):
        raise UsageError(
            f"{place}: data.clip_us is {clip_us}; it must be a multiple of input.bin_us {window.bin_us} "
            f"and no less than input.bins of them, {window.bins * window.bin_us}"
        )
    for name, (low, high) in (("zoom", recipe.augment.zoom), ("keep", recipe.augment.keep)):
        if low > high:
            raise UsageError(f"{place}: augment.{name} is [{low}, {high}]; the lower end comes first")
    if isinstance(recipe.data, Simulated):
        _check_scenes(place, recipe.data)


def _check_scenes(place: str, data: Simulated) -> None:
    """Raises UsageError for an empty range, or a scene in two splits: figures would say nothing about new scenes."""
    splits: tuple[Split, ...] = ("train", "validation", "test")
    for split in splits:
        if not len(scenes := data.scenes(split)):
            raise UsageError(
                f"{place}: data.{split}.scenes is [{scenes.start}, {scenes.stop}]; the end must lie above the start"
            )
    pairs: tuple[tuple[Split, Split], ...] = (("train", "validation"), ("train", "test"), ("validation", "test"))
    for one, other in pairs:
        a, b = data.scenes(one), data.scenes(other)
        if a.start < b.stop and b.start < a.stop:
            scene = max(a.start, b.start)
            raise UsageError(f"{place}: scene {scene} is in data.{one} and in data.{other}; keep scenes apart")
    if data.rooms and data.scene != "road":
        raise UsageError(f"{place}: data.rooms is {data.rooms}; only scene 'road' has room for them, so leave it out")

"""Clips of recordings with boxes beside them, in a user's own folder or in the layouts of published sets.

A box tells of the end of a bin. So clips begin where the boxes' times fall on ends of bins, as far as they can, and
stretches without boxes are left out.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evpipe.errors import InputError, UsageError
from operators.detection.letterbox import letterbox
from operators.learn.detector import box_files
from operators.learn.detector.box_files import GEN1, MEGAPIXEL, BoxTable
from operators.learn.detector.clips import BOX, Case, Cases, Made
from operators.learn.detector.recipe import DetectorRecipe, Folder
from operators.learn.recipe import Split
from operators.learn.sources import Progress
from operators.learn.sources.folder import SPLITS, natural
from operators.learn.sources.recordings import (
    LATE_US,
    Clock,
    Recording,
    Survey,
    digest,
    open_read,
    reader_code,
    survey_all,
)
from operators.learn.sources.splits import deal
from operators.strict_yaml import nearest
from sensors.formats.reader import shown

LONG_CLIP_US = 2_500_000
"""Length of clips, unless the recipe says so, where boxes lie on a grid of bins."""

ENOUGH = 0.75  # of the moments that short clips could use: then long ones are taken
DAVIS346 = (260, 346)
RECORDINGS = (".raw", ".dat", ".aedat", ".aedat4", ".es", ".bin", ".h5", ".hdf5", ".npz", ".bag", ".mcap", ".db3")

I64 = NDArray[np.int64]


class Labelled(NamedTuple):
    """One recording with its boxes; `size` of files that do not say it, `survey` of what it holds."""

    path: Path
    name: str
    split: Split | None
    table: BoxTable
    survey: Survey | None = None
    sample: bool = False  # a numpy array of a few ms, as of PEDRo


class Plan(NamedTuple):
    """Clips of a recording: where they `start` (us), and for each moment [m] the clip and the bin at whose end it is.

    -1: it is not used.
    """

    starts: list[int]
    clip: I64
    bin: I64


def cases(recipe: DetectorRecipe, split: Split, kept: Path, jobs: int, progress: Progress) -> Cases:
    """The recordings of one split of a folder.

    Raises UsageError for a layout that cannot be understood or split, InputError for a file that is no recording.
    """
    data, window = recipe.data, recipe.input
    assert isinstance(data, Folder)
    root = _existing(data.path)
    notes: list[str] = []
    found = list(_pedro(root)) if (root / "numpy").is_dir() else list(_beside(root, notes))
    if not found:
        raise UsageError(
            f"{root.absolute()}: no boxes found. Beside each recording lay NAME_bbox.npy (Prophesee's) or "
            f"NAME.boxes.csv with the columns {', '.join(box_files.COLUMNS)}, or one boxes.csv with a column recording"
        )
    found = _surveyed(found, kept, jobs, progress)
    named = [each._replace(table=_named(each, data)) for each in found]
    if moved := sum(1 for a, b in zip(found, named, strict=True) if not np.array_equal(a.table.t_us, b.table.t_us)):
        notes.append(
            f"boxes of {moved} recordings count their time from the first event, as their clock has no such time"
        )
    found = named
    names = data.labels or tuple(natural({str(name) for each in found for name in each.table.labels} - {""}))
    if not names:
        raise UsageError(f"{root.absolute()}: the box files hold no box, so there is nothing to learn")
    found = _split(found, data, root)
    sizes = Counter(_geometry(each) for each in found)
    sensor = max(sizes, key=lambda size: (sizes[size], size))
    if len(sizes) > 1:
        listed = ", ".join(f"{number} of {w}x{h} pixels" for (h, w), number in sizes.most_common())
        notes.append(f"recordings of several geometries, each fitted into the input by its own: {listed}")
    clip_us = _clip_length(recipe, found)
    tolerance_us = window.bin_us // 5 if data.tolerance_us is None else data.tolerance_us
    lost: Counter[str] = Counter()
    mine = []
    for each in found:
        if each.split != split:
            continue
        table = _clean(each, names, split == "train", lost)
        moments, of = np.unique(table.t_us, return_inverse=True)
        plan = place(moments, clip_us, window.bin_us, window.bins, tolerance_us)
        lost["labelled moments lie too far from a bin's end (data.tolerance_us) or from others, and are not used"] += (
            int((plan.clip < 0).sum())
        )
        if not plan.starts:
            continue
        real = table.labels != ""
        labels = np.array([names.index(name) if name else -1 for name in table.labels.tolist()], np.int64)
        rows = (plan.clip[of][real], plan.bin[of][real], table.corners[real], labels[real])
        of_clip = [(c, b) for c, b in zip(plan.clip.tolist(), plan.bin.tolist(), strict=True) if c >= 0]
        make = partial(_make, each.path, each.sample, plan.starts, of_clip, rows, window.bin_us, window.bins,
                       _geometry(each), window.size)  # fmt: skip
        about = (digest(each.path), _digest(*plan.clip, *plan.bin, *rows), plan.starts, _geometry(each))
        mine.append(Case(each.name, len(plan.starts), repr(about), make))
    notes += [f"{number} {what}" for what, number in lost.items() if number]
    if not mine:
        raise UsageError(f"{root.absolute()}: no recording has boxes for {split}; see what was left out: {notes}")
    code = (Path(__file__), Path(str(box_files.__file__)), *reader_code())
    return Cases(mine, names, window.sensor or sensor, clip_us // window.bin_us, code, tuple(notes))


def place(moments: I64, clip_us: int, bin_us: int, bins: int, tolerance_us: int) -> Plan:
    """Clips for boxes at sorted, distinct `moments` [m] us.

    A clip begins `bins` bins before a moment, which so lies exactly at the end of a bin, and takes in what follows; the
    next one begins at the first moment beyond it. Of two moments at one end of a bin the nearer one is used.
    """
    steps = clip_us // bin_us
    clip, at = np.full(len(moments), -1, np.int64), np.full(len(moments), -1, np.int64)
    starts: list[int] = []
    i = 0
    while i < len(moments):
        start = int(moments[i]) - bins * bin_us
        j = int(np.searchsorted(moments, start + clip_us + bin_us // 2, "left"))
        after = moments[i:j] - start
        nearest_bin = (after + bin_us // 2) // bin_us - 1
        off = np.abs(after - (nearest_bin + 1) * bin_us)
        fits = (off <= tolerance_us) & (nearest_bin < steps)
        best: dict[int, int] = {}
        for k in np.flatnonzero(fits).tolist():
            b = int(nearest_bin[k])
            if b not in best or off[k] < off[best[b]]:
                best[b] = k
        for b, k in best.items():
            clip[i + k], at[i + k] = len(starts), b
        starts.append(start)
        i = j
    return Plan(starts, clip, at)


def _clip_length(recipe: DetectorRecipe, found: Sequence[Labelled]) -> int:
    """The recipe's length of clips, else a long one if it can use the boxes about as well as the shortest one can."""
    data, window = recipe.data, recipe.input
    if data.clip_us is not None:
        return data.clip_us
    short = window.bins * window.bin_us
    longest = max(int(np.ptp(each.table.t_us)) + short for each in found)
    long = max(short, -(-min(longest, LONG_CLIP_US) // window.bin_us) * window.bin_us)
    assert isinstance(data, Folder)
    tolerance_us = window.bin_us // 5 if data.tolerance_us is None else data.tolerance_us

    def used(clip_us: int) -> int:
        return sum(
            int((place(np.unique(each.table.t_us), clip_us, window.bin_us, window.bins, tolerance_us).clip >= 0).sum())
            for each in found
        )

    return long if used(long) >= ENOUGH * used(short) else short


def _make(
    path: Path,
    sample: bool,
    starts: list[int],
    labelled: list[tuple[int, int]],
    rows: tuple[I64, I64, NDArray[np.float64], I64],
    bin_us: int,
    bins: int,
    sensor: tuple[int, int],
    size: tuple[int, int],
    counts: NDArray[np.uint8],
) -> Made:
    """Count the events of the clips that begin at `starts`; `rows`: clip, bin, corners and label of each box."""
    from operators.learn.detector import counting

    box = letterbox(sensor, size)
    notes, outside = _count(path, sample, starts, bin_us, counts, partial(counting.count, bin_us=bin_us, box=box))
    known = np.zeros(counts.shape[:2], bool)
    for clip, at in labelled:
        known[clip, at] = True
    clips, at_bin, corners, labels = rows
    found = [np.zeros(0, BOX)]
    for clip in range(len(starts)):
        here = (clips == clip) & (at_bin >= 0)
        made = counting.rows(clip, at_bin[here], corners[here], labels[here], 1.0, box)
        counting.count_in_boxes(made, counts[clip], bins)
        found.append(made)
    if outside:
        notes.append(f"{outside} events outside the sensor left out")
    return Made(np.concatenate(found), known, notes)


def _count(
    path: Path, sample: bool, starts: list[int], bin_us: int, counts: NDArray[np.uint8], count: Any
) -> tuple[list[str], int]:
    """Have a recording's events counted, chunk by chunk; notes of faults, and how many events lay outside."""
    clip_us = counts.shape[1] * bin_us
    if sample:
        columns = _sample(path)
        return [], sum(count(columns, start, clip=clip) for start, clip in zip(starts, counts, strict=True))
    reader, clock, outside, events = open_read((str(path), None)), Clock(), 0, 0
    try:
        for chunk in clock.steady(reader):
            first, last = int(chunk.t.min()), int(chunk.t.max())
            if first >= starts[-1] + clip_us + LATE_US:
                break
            columns = shown(reader, chunk)
            events += len(columns.t)
            for start, clip in zip(starts, counts, strict=True):
                if first < start + clip_us and last >= start:
                    outside += count(columns, start, clip=clip)
    finally:
        reader.close()
    notes = [*reader.account.notes, *clock.notes()]
    if damage := reader.account.damage:
        notes.append(f"damaged at byte {damage[0].offset}: {damage[0].what}; what could be read is used")
    if not events:
        notes.append("holds no events; its clips are empty")
    return notes, outside


def _sample(path: Path) -> tuple[I64, NDArray[np.uint16], NDArray[np.uint16], NDArray[np.uint8]]:
    """t, x, y, p of an array [n, 4]."""
    try:
        rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no whole numpy array of events: {error}. Get it again.") from None
    if rows.ndim != 2 or rows.shape[1] != 4:
        raise InputError(f"{path}: events are rows t, x, y, p; this array has the shape {list(rows.shape)}.")
    t, x, y, p = rows.T
    return t.astype(np.int64), x.astype(np.uint16), y.astype(np.uint16), (p > 0).astype(np.uint8)


def _clean(each: Labelled, names: tuple[str, ...], training: bool, lost: Counter[str]) -> BoxTable:
    """The boxes that count, cut to the sensor; what is lost is counted by reason. Moments stay, without their boxes."""
    height, width = _geometry(each)
    t, corners, labels, _, traffic = each.table
    real: NDArray[np.bool_] = np.asarray(labels != "")
    whole = np.logical_and(np.isfinite(corners).all(1), (corners[:, 2:] > corners[:, :2]).all(1))
    strange = real & ~np.isin(labels, names)
    # Prophesee's files count the last pixel, others its far side.
    far = 1 if traffic else 0
    cut = np.clip(np.where(whole[:, None], corners, 0.0), 0, [width - far, height - far] * 2)
    area = (cut[:, 2:] > cut[:, :2]).all(1)
    widest = 0.9 * width if traffic and training else np.inf
    gone = np.zeros(len(t), bool)
    for reason, mask in (
        ("boxes are of classes that data.labels does not name", strange),
        ("boxes have no area, or are no numbers; left out", real & ~whole),
        ("boxes lie outside the sensor; left out", real & ~area),
        (
            "boxes are wider than nine tenths of the picture, as faulty ones are; not learnt",
            real & (cut[:, 2] - cut[:, 0] > widest),
        ),
    ):
        lost[reason] += int((mask & ~gone).sum())
        gone |= mask
    reach = real & ~gone & (cut != corners).any(1)
    lost["boxes reach beyond the sensor and are cut"] += int(reach.sum())
    labels = np.where(gone, "", labels)
    return BoxTable(t, cut, labels, traffic=traffic)


def _named(each: Labelled, data: Folder) -> BoxTable:
    """Boxes with names of classes in place of numbers, and times of the recording's clock."""
    table, survey = each.table, each.survey
    labels = table.labels
    if table.numbered:
        size = _geometry(each)
        known = data.labels or {(240, 304): GEN1, (720, 1280): MEGAPIXEL, (360, 640): MEGAPIXEL}.get(size, ())
        if each.sample:
            known = data.labels or ("person",)
        # Of the large set only the classes that are evaluated; of an unknown one all, by number.
        other = "" if known is MEGAPIXEL else "class "
        labels = np.array(
            [known[int(k)] if int(k) < len(known) else (other and f"{other}{k}") for k in labels.tolist()] or [], "U"
        )
    elif data.labels:
        number = {str(k): name for k, name in enumerate(data.labels)}
        labels = np.array(
            [name if name in data.labels else number.get(name, name) for name in labels.tolist()] or [], "U"
        )
    t = table.t_us
    if survey is not None and len(t) and survey.last_us >= survey.first_us:
        duration = survey.last_us - survey.first_us
        if t.min() >= 0 and t.max() <= duration + LATE_US and t.max() < survey.first_us:
            # None lies within the recording's clock, all within its length: they count from its first event.
            t = t + survey.first_us
        elif t.max() < survey.first_us or t.min() > survey.last_us + LATE_US:
            raise UsageError(
                f"{each.path}: its boxes lie between {t.min()} and {t.max()} us, its events between "
                f"{survey.first_us} and {survey.last_us} us; t_us is the recording's clock, or us from its first event"
            )
    return BoxTable(t, table.corners, labels, table.numbered, table.traffic)


def _split(found: list[Labelled], data: Folder, root: Path) -> list[Labelled]:
    """Each recording with its split."""
    if data.split == "none":
        splits: tuple[Split, ...] = ("train", "validation", "test")
        return [each._replace(split=split) for each in found for split in splits]
    given = {each.split for each in found}
    wanted: tuple[Split, ...] = ("test", "validation")
    if "train" in given and len(given - {None}) > 1 and None not in given:
        missing = tuple(split for split in wanted if split not in given)
        own = [each for each in found if each.split != "train"]
        rest = [each for each in found if each.split == "train"]
    else:
        missing, own, rest = wanted, [], found
    if not missing:
        return found
    pattern = _pattern(data.group)
    groups = {each.name: _group(each.name, pattern) for each in rest}
    if (number := len(set(groups.values()))) < len(missing) + 1:
        kind = "groups of recordings" if pattern else "recordings"
        raise UsageError(
            f"{root.absolute()}: {number} {kind} with boxes; train, {' and '.join(reversed(missing))} need one each "
            "at least: record more, or put them into folders named train, validation and test"
        )
    dealt = deal([Recording(each.path, each.name, "boxes", groups[each.name]) for each in rest], missing, str(root))
    split_of = {recording.name: recording.split for recording in dealt}
    return own + [each._replace(split=split_of[each.name]) for each in rest]


def _pattern(group: str | None) -> re.Pattern[str] | None:
    if group is None:
        return None
    try:
        return re.compile(group)
    except re.error as error:
        raise UsageError(f"data.group: '{group}' is no regular expression: {error}") from None


def _group(name: str, pattern: re.Pattern[str] | None) -> str:
    match = pattern.search(name) if pattern else None
    if match is None:
        return name
    return str(match[1] if match.re.groups and match[1] is not None else match[0])


def _existing(path: str) -> Path:
    root = Path(path).expanduser()
    if not root.is_dir():
        found = "is no folder" if root.exists() else "does not exist"
        raise UsageError(f"data.path: {root.absolute()} {found}; name the folder that holds recordings and boxes")
    return root


def _surveyed(found: list[Labelled], kept: Path, jobs: int, progress: Progress) -> list[Labelled]:
    """Each recording with what its file holds."""
    files = [Recording(each.path, each.name, "", each.name) for each in found if not each.sample]
    if not files:
        return found
    digests = {path: digest(path) for path in sorted({recording.path for recording in files})}
    surveys = survey_all(files, digests, kept, jobs, progress)
    return [each if each.sample else each._replace(survey=surveys[str(each.path), None]) for each in found]


def _geometry(each: Labelled) -> tuple[int, int]:
    return DAVIS346 if each.survey is None else each.survey.size


def _beside(root: Path, notes: list[str]) -> Iterator[Labelled]:
    """Recordings with boxes beside them, in natural order of their names."""
    files = {
        path.relative_to(root).as_posix(): path
        for path in root.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)
    }
    found: dict[Path, BoxTable] = {}
    for name in natural(set(files)):
        path = files[name]
        if path.name.endswith("_bbox.npy"):
            stem = path.name.removesuffix("_bbox.npy")
            _enter(found, _partner(path, (f"{stem}_td", f"{stem}_cd", stem)), box_files.prophesee(path), path)
        elif path.name == "boxes.csv":
            for recording, table in box_files.table(path).items():
                _enter(found, _listed(path, recording), table, path)
        elif path.name.endswith(".boxes.csv"):
            tables = box_files.table(path)
            partner = _partner(path, (path.name.removesuffix(".boxes.csv"),))
            for table in tables.values():
                _enter(found, partner, table, path)
    without = [name for name, path in files.items() if path.suffix.lower() in RECORDINGS and path not in found]
    if without:
        notes.append(f"{len(without)} recordings have no boxes and are passed over, the first {natural(without)[0]}")
    named = {path.relative_to(root).as_posix(): path for path in found}
    for name in natural(set(named)):
        split = SPLITS.get(name.split("/", 1)[0].lower()) if "/" in name else None
        yield Labelled(named[name], name, split, found[named[name]])


def _enter(found: dict[Path, BoxTable], recording: Path, table: BoxTable, source: Path) -> None:
    if recording in found:
        raise UsageError(f"{source}: boxes of {recording.name} stand in another file, too; keep one of them")
    found[recording] = table


def _partner(boxes: Path, stems: Sequence[str]) -> Path:
    """The recording that a file of boxes belongs to, by its name. Raises UsageError for none or several."""
    others = [
        path
        for path in sorted(boxes.parent.iterdir())
        if path.is_file() and path.suffix.lower() not in (".npy", ".csv", ".jsonl", ".json", ".txt", ".xml", ".yaml")
    ]
    for stem in stems:
        fits = [path for path in others if stem in (path.stem, path.name)]
        if len(fits) == 1:
            return fits[0]
        if fits:
            raise UsageError(f"{boxes}: may belong to {' or '.join(path.name for path in fits)}; name it like the file")
    hint = nearest(stems[0], [path.stem for path in others])
    raise UsageError(f"{boxes}: no recording {boxes.parent / stems[0]}.* beside it; {hint}")


def _listed(table: Path, name: str) -> Path:
    """The recording that a line of boxes.csv names."""
    if name:
        path = table.parent / name
        return path if path.is_file() else _partner(path.parent / f"{path.name}.boxes.csv", (path.name,))
    others = [path for path in sorted(table.parent.iterdir()) if path.suffix.lower() in RECORDINGS]
    if len(others) != 1:
        raise UsageError(f"{table}:1: {len(others)} recordings beside it; add a column recording that names each one's")
    return others[0]


def _pedro(root: Path) -> Iterator[Labelled]:
    """Samples of PEDRo: numpy/SPLIT/NAME.npy of 40 ms each, with yolo/SPLIT/NAME.txt or xml/SPLIT/NAME.xml."""
    names = natural({path.relative_to(root / "numpy").as_posix() for path in (root / "numpy").glob("*/*.npy")})
    for name in names:
        path = root / "numpy" / name
        yolo, voc = (root / kind / Path(name).with_suffix(end) for kind, end in (("yolo", ".txt"), ("xml", ".xml")))
        if yolo.is_file():
            corners, labels = box_files.yolo(yolo, DAVIS346)
        elif voc.is_file():
            corners, labels = box_files.voc(voc)
        else:
            raise UsageError(f"{path}: no boxes {yolo} nor {voc}; get the whole set")
        t = _sample(path)[0]
        if not len(t):
            raise InputError(f"{path}: holds no events; get it again.")
        end = int(t.max()) + 1
        # A sample without a person is one moment at which there is nothing.
        table = BoxTable(
            np.full(max(1, len(labels)), end, np.int64),
            corners if labels else np.zeros((1, 4)),
            np.array(labels or [""], "U"),
            numbered=yolo.is_file() and bool(labels),
        )
        yield Labelled(path, name, SPLITS.get(name.split("/", 1)[0].lower()), table, sample=True)


def _digest(*arrays: Any) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()

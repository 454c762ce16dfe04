"""Conversions of files: which go where, and each done under a name that passes until the new recording is whole."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from evpipe.errors import EvpipeError, InputError, RecorderError, UsageError
from sensors.formats.detect import Encoding, open_reader
from sensors.formats.reader import Reader
from sensors.writers.choose import FORMATS, format_of, open_writer
from sensors.writers.copy import Copied, Span, copy
from sensors.writers.writer import Writer

_TOLD_S = 0.1
Tell = Callable[[int | None, int], object]


class Job(msgspec.Struct, frozen=True):
    """One recording to convert; `size` is (height, width) where the recording says none."""

    source: str
    target: str
    format: str
    span: Span = Span()
    only: frozenset[str] | None = None
    size: tuple[int, int] | None = None
    encoding: Encoding | None = None
    overwrite: bool = False


class Result(msgspec.Struct):
    """How a conversion went. `error` is empty, or says why there is no new recording; times are those of the source."""

    source: str
    target: str
    format: str
    paths: list[str] = []
    written: dict[str, int] = {}
    lacking: dict[str, int] = {}
    first_us: int | None = None
    last_us: int | None = None
    bytes: int = 0
    seconds: float = 0.0
    notes: dict[str, int] = {}
    source_notes: dict[str, int] = {}
    damage: list[tuple[int, str]] = []
    more_damage: int = 0
    error: str = ""
    exit_code: int = 0


def plan(sources: Sequence[str], out: str, format_: str | None, options: Job) -> list[Job]:
    """A job for each source, with all else as in `options`. `out` is a folder for several, and where it is one.

    Raises UsageError, before anything is written: for a format that is not known or not named, and for a target that
    exists, is a source, or would be written twice.
    """
    separators = tuple(filter(None, (os.sep, os.altsep)))
    if len(sources) == 1 and not os.path.isdir(out) and not out.endswith(separators):
        targets, name = [out], format_of(out, format_)
    elif format_ is None:
        why = "is a folder" if len(sources) == 1 else f"takes {len(sources)} recordings, so it is a folder"
        raise UsageError(f"{out}: {why}: say what to write there, for example --format aedat4.")
    else:
        name = format_of(out, format_)
        targets = [str(Path(out) / (Path(source).stem + FORMATS[name].suffix)) for source in sources]
    jobs = [
        msgspec.structs.replace(options, source=source, target=target, format=name)
        for source, target in zip(sources, targets, strict=True)
    ]
    _check_targets(jobs)
    return jobs


def convert(job: Job, tell: Tell | None = None) -> Result:
    """Carry out a job; `tell` hears now and then how many bytes were read (None: not known) of how many.

    What `tell` raises ends it. Raises EvpipeError, and then there is no new recording, whole or half. A damaged source
    gives its good part, and the damage stands in the result.
    """
    start = time.monotonic()
    reader = open_reader(job.source, job.size, job.encoding)
    try:
        width, height = _size(reader)
        target = Path(job.target)
        with _Passing(target) as passing:
            options = {"width": width, "height": height, "format": job.format, "lag_us": reader.disorder_us}
            with open_writer(passing.path, **options) as writer:  # type: ignore[arg-type]
                copied = copy(reader, writer, job.span, job.only, _teller(reader, tell))
            paths = passing.keep(writer.paths, overwrite=job.overwrite)
        return _result(job, reader, writer, copied, paths, time.monotonic() - start)
    finally:
        reader.close()


def attempt(job: Job, tell: Tell | None = None) -> Result:
    """As `convert`, but an error that a person can act on stands in the result."""
    try:
        return convert(job, tell)
    except EvpipeError as error:
        return Result(job.source, job.target, job.format, error=str(error), exit_code=error.exit_code)


class _Passing:
    """A folder beside the target, with a name that begins with a dot; it is gone afterwards, whatever happened."""

    def __init__(self, target: Path) -> None:
        self._target = target
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._folder = Path(tempfile.mkdtemp(".part", f".{target.name}.", target.parent))
        except OSError as error:
            raise RecorderError(f"{target}: cannot be created: {error.strerror}. Give another path.") from None
        self.path = str(self._folder / target.name)

    def keep(self, paths: list[str], *, overwrite: bool) -> list[str]:
        """Give the files their names beside each other; these names."""
        moves = [(path, self._target.parent / Path(path).name) for path in paths]
        for _, final in moves:
            if final.exists() and not overwrite:
                raise UsageError(f"{final} exists; give another name, or --overwrite to replace it")
        try:
            for path, final in moves:
                os.replace(path, final)
        except OSError as error:
            raise RecorderError(f"{final}: cannot be put in place: {error.strerror}. Give another path.") from None
        return [str(final) for _, final in moves]

    def __enter__(self) -> _Passing:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        if isinstance(error, RecorderError):  # it names the file as it would have been called
            raise RecorderError(str(error).replace(str(self._folder), str(self._target.parent))) from None


def _check_targets(jobs: list[Job]) -> None:
    seen: dict[str, str] = {}
    sources = {os.path.realpath(job.source): job.source for job in jobs}
    for job in jobs:
        real = os.path.realpath(job.target)
        if real in sources:
            raise UsageError(f"{job.target} is a recording to be read; give the new one another name or folder")
        if real in seen:
            raise UsageError(f"{seen[real]} and {job.source} would both become {job.target}; convert them one by one")
        if os.path.exists(job.target) and not job.overwrite:
            raise UsageError(f"{job.target} exists; give another name, or --overwrite to replace it")
        seen[real] = job.source


def _size(reader: Reader) -> tuple[int, int]:
    if reader.format == "ES-GENERIC":
        raise InputError(f"{reader.path}: holds timed bytes without pixels, which no other format holds.")
    if reader.width is None or reader.height is None:
        raise UsageError(f"{reader.path}: does not say how large its sensor is. Give --size HxW (rows x columns).")
    return reader.width, reader.height


def _teller(reader: Reader, tell: Tell | None) -> Callable[[], None]:
    """Tells now and then the byte that a reader has come to; None of readers that do not go through one file."""
    file, total = getattr(reader, "_file", None), os.path.getsize(reader.path)
    due = time.monotonic() + _TOLD_S

    def told() -> None:
        nonlocal due
        if tell is not None and time.monotonic() >= due:
            due = time.monotonic() + _TOLD_S
            tell(None if file is None or file.closed else min(file.tell(), total), total)

    return told


def _result(job: Job, reader: Reader, writer: Writer, copied: Copied, paths: list[str], seconds: float) -> Result:
    account = reader.account
    return Result(
        job.source,
        job.target,
        job.format,
        paths,
        copied.written,
        copied.lacking,
        copied.first_us,
        copied.last_us,
        sum(os.path.getsize(path) for path in paths),
        seconds,
        writer.notes,
        account.notes,
        [(damage.offset, damage.what) for damage in account.damage],
        account.more_damage,
        exit_code=InputError.exit_code if account.damage else 0,
    )

"""Makes a whole MCAP file of one that was cut or damaged: every whole chunk, and a new index; read back as proof.

Works on sessions of evpipe and on MCAP files of others.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import NamedTuple

from evpipe.errors import RecorderError, UsageError
from evpipe.recorder.mcap_file import McapFile
from evpipe.recorder.mcap_scan import DamageError, McapScan, Message
from sensors.formats.reader import Account, Damage

_CHUNK_BYTES = 2**22


class Recovered(NamedTuple):
    """What came of it; times in us, None without messages.

    `lost_messages` counts those of damaged chunks, as far as an index behind the chunk tells; `lost_bytes` are those of
    damaged chunks and of what is unfinished at the end. `missing_end`: the mark of the end is not there, so nobody
    knows whether more should follow.
    """

    chunks: int
    messages: int
    first_us: int | None
    last_us: int | None
    lost_chunks: int
    lost_messages: int
    lost_bytes: int
    missing_end: bool
    damage: list[Damage]

    @property
    def whole(self) -> bool:
        """Whether nothing was lost."""
        return not (self.lost_bytes or self.missing_end or self.damage)


def recover(source: str, target: str, *, force: bool = False) -> Recovered:
    """Copy what is whole of `source` to `target`, which appears when it is finished and proved.

    Raises InputError when `source` is no MCAP file, UsageError when `target` is `source`, or exists and not `force`,
    RecorderError when it cannot be written or does not read back the same.
    """
    scan = McapScan(source)
    try:
        if os.path.exists(target) and os.path.samefile(source, target):
            raise UsageError(f"{target}: is the file that is to be recovered; give another path for the result")
        if os.path.exists(target) and not force:
            raise UsageError(f"{target} exists; give another path, or --force to overwrite it")
        part = f"{target}.part"
        if os.path.exists(part):
            os.unlink(part)  # what an interrupted recovery left
        try:
            found = _Copy(scan, part).run()
            os.replace(part, target)
        except OSError as error:
            raise RecorderError(f"cannot write {target}: {error.strerror}; choose another folder") from None
        finally:
            if os.path.exists(part):
                os.unlink(part)
    finally:
        scan.close()
    return found


class _Copy:
    """One file on its way to another."""

    def __init__(self, scan: McapScan, path: str) -> None:
        self._scan = scan
        self._out = McapFile(path, profile=scan.profile, library=scan.library)
        self._numbers: dict[int, int] = {}
        self._schemas: dict[int, int] = {0: 0}
        self._sum = hashlib.sha256()
        self._messages = self._chunks = self._lost_messages = self._lost_bytes = 0
        self._times: list[int] = []
        self._damage: list[Damage] = list(scan.damage.damage)

    def run(self) -> Recovered:
        """Copy, count, and read back."""
        scan, n_damage = self._scan, len(self._damage)
        try:
            for name, fields in scan.metadata.items():
                self._out.metadata(name, fields)
            for found in scan.attachments:
                self._out.attachment(found.name, found.media_type, found.data, found.times_ns)
            for messages in self._parts():
                for message in messages:
                    self._message(message)
        finally:
            self._out.close()
        self._prove()
        lost_chunks = len(self._damage) - n_damage
        return Recovered(
            chunks=self._chunks,
            messages=self._messages,
            first_us=min(self._times, default=None),
            last_us=max(self._times, default=None),
            lost_chunks=lost_chunks,
            lost_messages=self._lost_messages,
            lost_bytes=self._lost_bytes + (0 if scan.complete else scan.bytes - scan.end),
            missing_end=not scan.complete,
            damage=self._damage,
        )

    def _parts(self) -> Iterator[list[Message]]:
        """Messages chunk by chunk; after each the chunk of the copy is closed, so that chunks stay as they were."""
        for chunk in self._scan.chunks:
            try:
                messages = self._scan.chunk(chunk)
            except DamageError as error:
                self._lost_messages += self._scan.index_entries(chunk)
                self._lost_bytes += chunk.size + 9
                self._damage.append(Damage(chunk.offset, f"a chunk is damaged ({error}) and was left out"))
                continue
            yield messages
            self._out.end_chunk()
            self._chunks += 1
        for messages in self._scan.loose_messages():
            yield messages
            if self._out.chunk_bytes >= _CHUNK_BYTES:
                self._out.end_chunk()

    def _message(self, message: Message) -> None:
        number = self._numbers.get(message.channel) or self._declare(message)
        if number is None:
            return
        self._out.message(number, message.sequence, message.log_ns, message.publish_ns, [message.data])
        _sum_up(self._sum, self._scan, message)
        self._messages += 1
        t_us = message.log_ns // 1000
        self._times = [min(self._times[0], t_us), max(self._times[1], t_us)] if self._times else [t_us, t_us]

    def _declare(self, message: Message) -> int | None:
        """The number of a message's topic in the copy; None, and told, where the file does not say what it is."""
        channel = self._scan.channels.get(message.channel)
        schema = self._scan.schemas.get(channel.schema) if channel is not None else None
        if channel is None or (schema is None and channel.schema):
            self._lost_messages += 1
            what = f"a message belongs to topic {message.channel}, which is not declared; it was left out"
            self._damage.append(Damage(message.offset, what))
            return None
        if channel.schema not in self._schemas and schema is not None:
            self._schemas[channel.schema] = self._out.schema(*schema)
        number = self._out.channel(channel.topic, self._schemas[channel.schema], channel.encoding, channel.about)
        self._numbers[message.channel] = number
        return number

    def _prove(self) -> None:
        copy = McapScan(self._out.path)
        account, sum_ = Account(), hashlib.sha256()
        try:
            for messages in copy.messages(account):
                for message in messages:
                    _sum_up(sum_, copy, message)
        finally:
            copy.close()
        if not copy.complete or account.damage or sum_.digest() != self._sum.digest():
            raise RecorderError(f"{self._out.path}: does not read back as it was written; check the disk it is on")


def _sum_up(sum_: hashlib._Hash, scan: McapScan, message: Message) -> None:
    """Take a message into the sum that shows whether two files hold the same."""
    head = (scan.channels[message.channel].topic, message.sequence, message.log_ns, message.publish_ns)
    sum_.update(repr((*head, len(message.data))).encode())
    sum_.update(message.data)

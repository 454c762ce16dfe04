"""CURVE keys as files: a secret that only its owner may read, a public one to give away, and whom a machine lets in.

All lie in one folder (`EVPIPE_KEYS`, else `evpipe/keys` in the user's configuration): NAME.secret, NAME.public, and
`allowed/NAME.public`. A file holds one line of 40 characters (Z85), as ZeroMQ writes keys.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec
import zmq

from evpipe.errors import UsageError

DEFAULT = "evpipe"
_NAME = re.compile(r"[\w][\w.-]*")
_Z85 = re.compile(rb"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")


class KeyPair(msgspec.Struct, frozen=True):
    """Public and secret key, Z85."""

    public: bytes
    secret: bytes


def folder() -> Path:
    """Where keys lie."""
    asked = os.environ.get("EVPIPE_KEYS")
    return Path(asked) if asked else Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "evpipe/keys"


def make(name: str = DEFAULT) -> Path:
    """A new pair; returns the file of the public key. An existing pair is never replaced."""
    place = folder()
    _check_name(name)
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    secret = place / f"{name}.secret"
    public_key, secret_key = zmq.curve_keypair()
    try:
        descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{secret}: there is a key of this name already; give another name, or delete it") from None
    with open(descriptor, "wb") as file:
        file.write(secret_key + b"\n")
    public = place / f"{name}.public"
    public.write_bytes(public_key + b"\n")
    return public


def read_pair(name: str = DEFAULT) -> KeyPair:
    """One's own keys. Raises UsageError when they are missing, malformed or readable by others."""
    secret = folder() / f"{name}.secret"
    if not secret.exists():
        raise UsageError(f"{secret}: there is no such key; `evpipe keys new {name}` makes one")
    mode = secret.stat().st_mode & 0o777
    if mode & 0o077:
        raise UsageError(f"{secret}: others may read this secret (mode {mode:03o}); `chmod 600 {secret}`, or make anew")
    key = _read(secret)
    return KeyPair(zmq.curve_public(key), key)


def read_public(name: str) -> bytes:
    """A public key: a file, the name of an allowed or own one, or the 40 characters themselves."""
    if _Z85.fullmatch(name.encode()):
        return name.encode()
    places = [Path(name), folder() / "allowed" / f"{name}.public", folder() / f"{name}.public"]
    for place in places:
        if place.is_file():
            return _read(place)
    raise UsageError(f"there is no public key {name!r}: no such file, and none of this name in {folder()}")


def allow(key: str, name: str) -> Path:
    """Let the owner of a public key in."""
    _check_name(name)
    found = read_public(key)
    place = folder() / "allowed"
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = place / f"{name}.public"
    path.write_bytes(found + b"\n")
    return path


def deny(name: str) -> None:
    """Let the owner of this key in no more."""
    path = folder() / "allowed" / f"{name}.public"
    if not path.exists():
        raise UsageError(f"nobody called {name!r} is allowed; allowed are: {', '.join(allowed()) or 'none'}")
    path.unlink()


def allowed() -> dict[str, bytes]:
    """Name -> public key of all who may connect."""
    return {path.stem: _read(path) for path in sorted((folder() / "allowed").glob("*.public"))}


def own() -> dict[str, bytes]:
    """Name -> public key of one's own pairs."""
    return {path.stem: _read(path) for path in sorted(folder().glob("*.public"))}


def _read(path: Path) -> bytes:
    found = path.read_bytes()[:200].strip()
    if not _Z85.fullmatch(found):
        raise UsageError(f"{path}: is no key: expected one line of 40 characters, as `evpipe keys new` writes it")
    return found


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot name a key; use letters, digits, . _ and -")

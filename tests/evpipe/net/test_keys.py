"""Keys on disk: made once, private, listed, allowed and denied."""

from __future__ import annotations

import pytest

from evpipe.errors import UsageError
from evpipe.net import keys


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EVPIPE_KEYS", str(tmp_path / "keys"))


def test_a_pair_is_private_and_never_replaced():
    """The secret is readable by its owner alone, and a second `new` refuses."""
    public = keys.make()
    assert (keys.folder() / "evpipe.secret").stat().st_mode & 0o777 == 0o600
    assert keys.read_pair().public == keys.read_public(str(public)) == keys.own()["evpipe"]
    with pytest.raises(UsageError, match="there is a key of this name already"):
        keys.make()


def test_a_secret_that_others_may_read_is_refused():
    """As ssh does it, with the line that mends it."""
    keys.make("lab")
    (keys.folder() / "lab.secret").chmod(0o644)
    with pytest.raises(UsageError, match=r"others may read this secret \(mode 644\); `chmod 600"):
        keys.read_pair("lab")


def test_allow_and_deny():
    """A public key by file or by its characters; what is no key is said."""
    public = keys.make("a")
    keys.allow(str(public), "friend")
    keys.allow(keys.own()["a"].decode(), "again")
    assert set(keys.allowed()) == {"friend", "again"}
    keys.deny("friend")
    assert set(keys.allowed()) == {"again"}
    with pytest.raises(UsageError, match="nobody called 'friend' is allowed; allowed are: again"):
        keys.deny("friend")
    public.write_text("no key")
    with pytest.raises(UsageError, match="is no key: expected one line of 40 characters"):
        keys.allow(str(public), "bad")
    with pytest.raises(UsageError, match="there is no public key 'nowhere'"):
        keys.allow("nowhere", "bad")
    with pytest.raises(UsageError, match="cannot name a key"):
        keys.make("../escape")

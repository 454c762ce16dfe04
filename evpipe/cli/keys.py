"""`evpipe keys`: CURVE keys for graphs on several machines: make, list, allow, deny."""

from __future__ import annotations

import argparse
import json
import sys

EXAMPLE = "evpipe keys allow lab.public --name lab"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `evpipe keys`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    new = verbs.add_parser("new", help="make a pair of keys")
    new.add_argument("name", metavar="NAME", nargs="?", default="evpipe", help="of the pair (default: evpipe)")
    verbs.add_parser("list", help="own keys, and whom this machine lets in")
    allow = verbs.add_parser("allow", help="let the owner of a public key connect")
    allow.add_argument("key", metavar="KEY", help="a .public file, or its 40 characters")
    allow.add_argument("--name", required=True, help="whose it is")
    deny = verbs.add_parser("deny", help="let somebody in no more")
    deny.add_argument("name", metavar="NAME", help="as `list` shows it")


def run(args: argparse.Namespace) -> int:
    """Do one of these; without a verb, list."""
    from evpipe.net import keys

    if args.verb == "new":
        public = keys.make(args.name)
        sys.stdout.write(f"{public}\n")
        if not args.quiet:
            sys.stderr.write("Give this file to the other machine; its secret half stays here.\n")
    elif args.verb == "allow":
        sys.stdout.write(f"{keys.allow(args.key, args.name)}\n")
    elif args.verb == "deny":
        keys.deny(args.name)
    else:
        _list(args.json)
    return 0


def _list(as_json: bool) -> None:
    from evpipe.net import keys

    own = {name: key.decode() for name, key in keys.own().items()}
    allowed = {name: key.decode() for name, key in keys.allowed().items()}
    if as_json:
        sys.stdout.write(json.dumps({"folder": str(keys.folder()), "own": own, "allowed": allowed}) + "\n")
        return
    for title, found in (("own", own), ("allowed", allowed)):
        for name, key in found.items():
            sys.stdout.write(f"{title:8} {name:16} {key}\n")
        if not found:
            remedy = "`evpipe keys new` makes a pair" if title == "own" else "`evpipe keys allow` lets somebody in"
            sys.stdout.write(f"{title:8} none: {remedy}\n")

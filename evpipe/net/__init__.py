"""Graphs on several machines: `Publish` sends ports of one graph, `Subscribe` is a source of another.

Loopback is open to this machine's users; beyond it only with CURVE keys (`evpipe keys`) and a list of who may connect.
"""

from evpipe.net.publish import Publish
from evpipe.net.subscribe import Subscribe

__all__ = ["Publish", "Subscribe"]

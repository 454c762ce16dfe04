"""The live window of a graph. Importing this package loads numpy and no Qt; Qt is loaded when a window opens."""

from evpipe.view.display import display_missing
from evpipe.view.window import Window

__all__ = ["Window", "display_missing"]

"""The command `hub`: a module for each of its verbs, and what they share.

May import: everything but `demo`; a running hub is asked over the network.
"""

from .main import main

__all__ = ["main"]

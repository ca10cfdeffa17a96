"""The command `hub`: a module for each of its verbs, and what they share."""

from .main import main

__all__ = ["main"]

"""Exit codes, the errors that a user is told in one line, and a reader of numbers."""

from __future__ import annotations

import argparse

from loadtest.accounting import Gone
from loadtest.crowd import CrowdFailed
from loadtest.fleet import ClientFailed
from loadtest.machine import Unfit
from loadtest.publishing import PublishFailed
from loadtest.server import Down
from loadtest.targets.base import Unavailable

OK, FAILED, UNFIT, INTERRUPTED = 0, 1, 2, 130
TROUBLE = (Unfit, Down, Gone, ClientFailed, CrowdFailed, PublishFailed, Unavailable, OSError)


def positive(text: str) -> int:
    """An argument that counts something."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value

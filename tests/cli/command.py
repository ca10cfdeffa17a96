"""The command `hub` with a clean environment: its exit status, and what it printed.

It runs inside the test's process, as most of a process of its own would be spent on imports. What serves or
waits for a signal is started as a process (`tests.support.server`).
"""

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from hub.cli import main

LIBRARIES = ("uvicorn.access", "uvicorn.error", "httpx", "httpcore")
"""Loggers that `hub.cli.logs` changes beside the root."""


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    status: int
    out: str
    err: str


def clean_environment(**settings: str) -> dict[str, str]:
    """The environment without any ``HUB_*`` but `settings`."""
    clean = {name: value for name, value in os.environ.items() if not name.upper().startswith("HUB_")}
    return {**clean, **{f"HUB_{name.upper()}": value for name, value in settings.items()}}


def hub(*args: str, folder: Path, stdin: str = "", **settings: str) -> Result:
    """Run ``hub ARGS`` in a folder, with `settings` as ``HUB_*``. No exception may come out of it."""
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.dict(os.environ, clean_environment(**settings), clear=True),
        patch("sys.stdin", io.StringIO(stdin)),
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        _own_logging(),
        warnings.catch_warnings(),
    ):
        status = main(list(args))
    return Result(status, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _own_logging() -> Iterator[None]:
    """Whatever the command sets up is taken back."""
    root, libraries = logging.getLogger(), [logging.getLogger(name) for name in LIBRARIES]
    handlers, level = root.handlers[:], root.level
    theirs = [(each.level, each.disabled, each.filters[:]) for each in libraries]
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for each, (level, disabled, filters) in zip(libraries, theirs, strict=True):
            each.setLevel(level)
            each.disabled, each.filters[:] = disabled, filters

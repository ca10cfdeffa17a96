"""The machine under the test: its cores, its descriptors, its loopback addresses, free ports."""

from __future__ import annotations

import gc
import os
import resource
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Each source address gives another 28,000 local ports towards one listener.
SOURCES = tuple(f"127.0.1.{last}" for last in range(1, 9))
_RESERVE = 200
#: Read once: the load pins itself later, and would then see its own core only.
_AVAILABLE = sorted(os.sched_getaffinity(0))


class Unfit(Exception):
    """The machine or its limits do not allow the scenario; the message says which and what to do."""


def cores() -> tuple[set[int], set[int]]:
    """(for the server, for the load): one core each where there are two, else the same."""
    if len(_AVAILABLE) == 1:
        return set(_AVAILABLE), set(_AVAILABLE)
    return {_AVAILABLE[0]}, set(_AVAILABLE[1:])


def need_descriptors(sockets: int) -> None:
    """Raise the soft limit as far as ``sockets`` need; ``Unfit`` when the hard one is too low."""
    wanted = sockets + _RESERVE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise Unfit(
            f"{sockets} sockets in one process need {wanted} file descriptors, the hard limit is "
            f"{hard}: use fewer clients, more --processes, or raise it (ulimit -Hn)"
        )
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def no_collector() -> Iterator[None]:
    """Without the garbage collector, in processes forked meanwhile too: nothing of a client is in a cycle, and a
    collection over thousands of them would show as the hub's latency."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()

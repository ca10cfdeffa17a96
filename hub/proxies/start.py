"""The proxies of a node begin."""

from collections.abc import Callable

from ..outgoing.requests import client
from ..settings import Settings
from ..tracing.base import Follower
from .application import ProxyApplication
from .backend import AT_ONCE, Backend
from .settings import read

ROOM = 4096  # bytes of an answer beside the payload in it


def start(
    settings: Settings,
    now: Callable[[], float],
    wall: Callable[[], float],
    generation: Callable[[], int],
    tracer: Follower | None = None,
) -> ProxyApplication:
    """In the loop.

    Raises:
        ValueError: a line for each setting that is wrong.
    """
    proxies = read(settings)
    http = client(max(1, AT_ONCE * len(proxies)))
    most = settings.message_bytes + ROOM
    backends = [Backend(each, http, now, wall, generation, most, tracer) for each in proxies]
    return ProxyApplication(backends, http)

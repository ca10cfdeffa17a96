"""``hub serve --bridges``: the bridges of the settings inside the hub's own process, for development.

They have a thread and an event loop of their own, end with the process, and hand on over HTTP as ever. In
production bridges are a process of their own: a deploy of hubs is then none of its readers, and it says how it is.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from ..bridge.process import Bridges, NotInstalled
from ..bridge.settings import bridges
from ..bridge.templates import BadTemplate
from ..settings import Settings
from . import remote
from .failure import Failure

END_S = 5.0


def lacks(settings: Settings) -> list[str]:
    """What stands in the way of it, in words."""
    if settings.workers > 1:
        return ["--bridges is for one process: without --workers"]
    if not settings.bridges:
        return ["--bridges: there are no [[bridges]] in hub.toml"]
    return [] if settings.service_key else ["--bridges needs an API key: set HUB_API_KEYS"]


@contextlib.contextmanager
def bridging(settings: Settings) -> Iterator[None]:
    """For as long as the hub serves. What is in flight at its end comes again.

    Raises:
        Failure: a library is missing, or a mapping is wrong.
    """
    key = settings.service_key
    assert key is not None, "`lacks` looks at that"
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="bridges", daemon=True)
    thread.start()

    async def begin() -> Bridges:
        url = remote.local_url(settings)
        made = Bridges(bridges(settings.bridges), url, key, tls=remote.tls(url, settings))
        await made.start()
        return made

    try:
        running = asyncio.run_coroutine_threadsafe(begin(), loop).result()
    except (NotInstalled, BadTemplate) as error:
        raise Failure(str(error)) from None
    try:
        yield
    finally:
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(running.stop(0.0), loop).result(END_S)
        loop.call_soon_threadsafe(loop.stop)

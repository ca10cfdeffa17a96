"""Requests that are answered without ASGI: few routes, plain requests. All others go to the app, and so may these.

Which way a request takes changes nothing but the cost: the same handler answers it.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from starlette.responses import Response

from .head import Head

DIRECT_BYTES = 65_536  # of a body: what waits for the app at most, too

Handler = Callable[[Head, bytes], Coroutine[Any, Any, Response]]
"""Answers a request; gets its head and its whole body."""

Routes = Mapping[tuple[str, bytes], Handler]
"""By method and path, as it was sent."""


def handler_of(routes: Routes, head: Head, most: int) -> Handler | None:
    """Who answers a request without ASGI; None where the app does. `most` bytes of a body are allowed at all.

    Not those that a browser sent from another page (CORS is the app's), nor those that wait to be asked for
    their body.
    """
    handler = routes.get((head.method, head.raw_path))
    if handler is None or head.query or head.expects_continue:
        return None
    if head.length is None or head.length > min(most, DIRECT_BYTES) or head.field(b"origin") is not None:
        return None
    return handler

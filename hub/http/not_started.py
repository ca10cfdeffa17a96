"""What answers in place of a hub that nobody has started."""

import logging

from starlette.types import Receive, Scope, Send

from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from .answers import refusal

log = logging.getLogger("hub")

WHY = (
    "the hub was not started: pass its lifespan to the outer app, "
    "Starlette(lifespan=hub.lifespan, routes=[Mount('/hub', hub.app)]); "
    "the lifespan of a mounted app is run by nobody"
)
_RETRY_MS = 5000


class NotStarted:
    """Refuses every request and handshake with 503 and the sentence that explains it; logs it once."""

    def __init__(self) -> None:
        self._told = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._told:
            self._told = True
            log.error(WHY)
        error = HubError(ErrorCode.UNAVAILABLE, WHY, retry_after_ms=_RETRY_MS)
        if scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
            await refusal(error)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1013, "reason": "the hub was not started"})

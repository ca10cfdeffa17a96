"""`POST /v1/hooks/{name}`: a webhook of somebody else becomes an event.

Stored (or kept as a dead letter) is 202; a wrong signature is 401 and does not say what is wrong; while the storage
is away it is 503, so that the sender repeats it.
"""

import logging
from collections.abc import Sequence

import orjson
from starlette.requests import Request
from starlette.responses import Response

from ..bridge.records import Record
from ..http.answers import answer, refusal
from ..http.context import HttpContext
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from .door import Door, headers_of
from .settings import HookSettings
from .signatures import Refused, verify

log = logging.getLogger("hub.intake")


class Hooks:
    """The hooks of a node, by name."""

    def __init__(self, hooks: Sequence[HookSettings]) -> None:
        self._hooks = {hook.name: (hook, Door(hook, f"{hook.name}:hook")) for hook in hooks}

    async def post(self, context: HttpContext, request: Request) -> Response:
        """The route."""
        name = request.path_params["name"]
        if name not in self._hooks:
            return refusal(HubError(ErrorCode.BAD_MESSAGE, "there is no hook of this name"), 404)
        settings, door = self._hooks[name]
        body = await context.body(request)
        try:
            id = verify(settings, request.headers, body, context.node.wall())
        except Refused as why:
            log.info("hook %s: refused: %s", name, why)
            reason = "the signature is missing, wrong or too old"
            raise HubError(ErrorCode.UNAUTHENTICATED, reason) from None
        if settings.kind == "slack" and (challenge := _challenge(body)) is not None:
            return answer({"challenge": challenge})
        outcome = await door.take(context, Record(body, id=id, headers=headers_of(request.headers)))
        return answer({"outcome": outcome.value}, 202)


def _challenge(body: bytes) -> str | None:
    """What Slack wants to hear again when a URL is entered (``url_verification``)."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict) or value.get("type") != "url_verification":
        return None
    challenge = value.get("challenge")
    return challenge if isinstance(challenge, str) else None

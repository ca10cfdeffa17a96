"""Deleting what is stored, so that users' data can be erased. A service's, where it may publish."""

import logging

from starlette.requests import Request
from starlette.responses import Response

from ..commands.permissions import bad_channel, forbidden
from ..protocol.fields import bad
from .answers import answer
from .context import HttpContext

log = logging.getLogger(__name__)

MAX_KEY = 128


async def channel(context: HttpContext, request: Request) -> Response:
    """`DELETE /v1/channels/{channel}`: all that is stored of it goes, and another numbering begins."""
    name = await _erasable(context, request)
    epoch, offset = await context.node.broker.delete(name)
    log.info("%s was deleted; it begins anew as %s", name, epoch)
    return answer({"channel": name, "epoch": epoch, "offset": offset})


async def key(context: HttpContext, request: Request) -> Response:
    """`DELETE /v1/channels/{channel}/snapshot/{key}`: one key goes, and an event says so."""
    name = await _erasable(context, request)
    key = request.path_params["key"]
    if not 1 <= len(key) <= MAX_KEY or not key.isprintable():
        raise bad(f"a key is 1 to {MAX_KEY} printable characters")
    position = await context.node.broker.delete_key(name, key)
    if position is None:
        return answer({"channel": name, "key": key, "deleted": False})
    epoch, offset = position
    return answer({"channel": name, "key": key, "deleted": True, "epoch": epoch, "offset": offset})


async def _erasable(context: HttpContext, request: Request) -> str:
    identity = await context.identity(request)
    name: str = request.path_params["channel"]
    stored = context.node.namespaces.of(name).stored
    if not identity.service:
        raise forbidden("only a service deletes what is stored")
    if not identity.may_publish(name):
        raise forbidden(f"no grant of this service allows publish on {name}, which deleting needs")
    if not stored:
        raise bad_channel(f"{name} is ephemeral: nothing of it is stored")
    return name

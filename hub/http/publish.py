"""Publishing by HTTP."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..auth.identity import Identity
from ..broker.base import Published
from ..commands.publications import published_fields
from ..protocol.codec import describe
from ..protocol.codes import ErrorCode
from ..protocol.commands import Publish, parse_publish
from ..protocol.errors import HubError
from ..protocol.event import Publication
from .answers import answer
from .context import HttpContext

MAX_BATCH = 1000
_BROADCAST = ("event", "payload", "key", "final", "event_id")
_SOME_CHANNEL = "any:channel"  # stands for each of a broadcast's while the rest is checked


async def publish(context: HttpContext, request: Request) -> Response:
    """`POST /v1/publish`: one event."""
    identity = await context.identity(request)
    command = parse_publish(None, await context.object(request))
    publication = _checked(context, identity, command)
    (result,) = await context.node.publish([publication])
    if isinstance(result, HubError):
        result.channel = publication.channel
        raise result
    return answer(published_fields(publication.channel, result))


async def batch(context: HttpContext, request: Request) -> Response:
    """`POST /v1/batch`: many events, each with its own answer."""
    identity = await context.identity(request)
    entries = _list((await context.object(request)).get("events"), "events")
    return answer({"results": await _publish_all(context, identity, map(_readable, entries))})


async def broadcast(context: HttpContext, request: Request) -> Response:
    """`POST /v1/broadcast`: one event to many channels."""
    identity = await context.identity(request)
    body = await context.object(request)
    channels = _list(body.get("channels"), "channels")
    fields = {name: body[name] for name in _BROADCAST if name in body}
    event = parse_publish(None, {**fields, "channel": _SOME_CHANNEL})
    commands = (_addressed(event, channel) for channel in channels)
    return answer({"results": await _publish_all(context, identity, commands)})


def _readable(entry: Any) -> Publish | HubError:
    """One of a batch, or what is wrong with it."""
    if not isinstance(entry, dict):
        return _bad(f"an event must be an object, not {describe(entry)}")
    try:
        return parse_publish(None, entry)
    except HubError as error:
        channel = entry.get("channel")
        error.channel = channel[:256] if isinstance(channel, str) else None
        return error


def _addressed(event: Publish, channel: Any) -> Publish | HubError:
    """A broadcast's event for one of its channels; whether the name is one is looked at with the rights."""
    if not isinstance(channel, str):
        return _bad(f"a channel must be a string, not {describe(channel)}")
    return replace(event, channel=channel)


async def _publish_all(
    context: HttpContext, identity: Identity, commands: Iterable[Publish | HubError]
) -> list[dict[str, object]]:
    """Publish each; the answers are in order, and a refused one leaves the others."""
    entries = [_allowed(context, identity, command) for command in commands]
    publications = [entry for entry in entries if isinstance(entry, Publication)]
    published = iter(await context.node.publish(publications) if publications else ())
    return [
        entry.fields() if isinstance(entry, HubError) else _result(entry, next(published))
        for entry in entries
    ]


def _allowed(context: HttpContext, identity: Identity, command: Publish | HubError) -> Publication | HubError:
    if isinstance(command, HubError):
        return command
    try:
        return _checked(context, identity, command)
    except HubError as error:
        error.channel = command.channel[:256]
        return error


def _checked(context: HttpContext, identity: Identity, command: Publish) -> Publication:
    publication = context.node.publication_checks.publication(command, identity, None)
    context.rates.check_publication(identity, command.channel)
    return publication


def _result(publication: Publication, result: Published | HubError) -> dict[str, object]:
    if isinstance(result, HubError):
        return {**result.fields(), "channel": publication.channel}
    return published_fields(publication.channel, result)


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_BATCH:
        raise _bad(f"{name} must be a list of 1 to {MAX_BATCH}")
    return value


def _bad(why: str) -> HubError:
    return HubError(ErrorCode.BAD_MESSAGE, why)

"""Publishing by HTTP."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from ..auth.identity import Identity
from ..commands.batch import publish_all
from ..commands.publications import published_fields
from ..protocol import fields
from ..protocol.codec import describe
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..protocol.event import Publication
from ..protocol.fields import bad
from ..protocol.publications import Publish, parse_entry, parse_publish, unknown_fields
from ..runtime.slices import mapped
from .answers import answer
from .context import HttpContext
from .whole_request import AnyRequest

MAX_BATCH = 1000
MAX_REPLICAS = 16
_BATCH = frozenset({"events", "ordered", "replicas"})
_BROADCAST = frozenset(
    {"channels", "event", "payload", "key", "final", "event_id", "event_id_ttl_ms", "meta", "source"}
)
_SOME_CHANNEL = "any:channel"  # stands for each of a broadcast's while the rest is checked


async def publish(context: HttpContext, request: AnyRequest) -> Response:
    """`POST /v1/publish`: one event."""
    identity = await context.publisher(request)
    command = parse_publish(None, await context.publications(request, identity))
    publication = checked(context, identity, command)
    (result,) = await context.node.publish([publication])
    if isinstance(result, HubError):
        result.channel = publication.channel
        raise result
    return answer(published_fields(command, result))


async def batch(context: HttpContext, request: AnyRequest) -> Response:
    """`POST /v1/batch`: many events, each with its own answer. `replicas`: those that so many replicas of the
    storage do not have in time are answered ``unavailable``, though they are stored."""
    identity = await context.publisher(request)
    body = await context.publications(request, identity)
    entries = _list(body, "events")
    ordered = fields.flag(body, "ordered", False)
    replicas = _replicas(body, identity)
    commands = await mapped(lambda entry: parse_entry(None, entry), entries)
    warnings = unknown_fields(body, _BATCH)
    if not replicas:
        return await _answer(context, identity, commands, ordered, warnings)
    channels = {command.channel for command in commands if isinstance(command, Publish)}
    witness = context.node.broker.witness(channels)
    results = await _published(context, identity, commands, ordered)
    refused = await witness.unconfirmed(replicas)
    results = [_confirmed(result, refused) for result in results]
    return answer({"results": results, "replicas": replicas, **({"warnings": warnings} if warnings else {})})


def _replicas(body: dict[str, Any], identity: Identity) -> int:
    value = body.get("replicas", 0)
    if type(value) is not int or not 0 <= value <= MAX_REPLICAS:
        raise bad(f"replicas must be an integer from 0 to {MAX_REPLICAS}")
    if value and not identity.service:
        raise HubError(
            ErrorCode.FORBIDDEN, "only services ask for replicas: it takes its time of the storage"
        )
    return value


def _confirmed(result: dict[str, Any], refused: dict[str, HubError]) -> dict[str, Any]:
    """The answer to an entry; where it was stored, and is not on the replicas for sure, that."""
    if "code" in result or (error := refused.get(result["channel"])) is None:
        return result
    return error.fields()


async def broadcast(context: HttpContext, request: AnyRequest) -> Response:
    """`POST /v1/broadcast`: one event to many channels."""
    identity = await context.publisher(request)
    body = await context.publications(request, identity)
    channels = _list(body, "channels")
    event = parse_publish(
        None,
        {
            "channel": _SOME_CHANNEL,
            **{name: body[name] for name in _BROADCAST - {"channels"} if name in body},
        },
    )
    commands = [_addressed(event, channel) for channel in channels]
    return await _answer(context, identity, commands, False, unknown_fields(body, _BROADCAST))


def _addressed(event: Publish, channel: Any) -> Publish | HubError:
    """A broadcast's event for one of its channels; whether the name is one is looked at with the rights."""
    if not isinstance(channel, str):
        return bad(f"a channel must be a string, not {describe(channel)}")
    return replace(event, channel=channel)


async def _answer(
    context: HttpContext,
    identity: Identity,
    commands: Iterable[Publish | HubError],
    ordered: bool,
    warnings: tuple[str, ...],
) -> Response:
    results = await _published(context, identity, commands, ordered)
    return answer({"results": results, **({"warnings": warnings} if warnings else {})})


async def _published(
    context: HttpContext, identity: Identity, commands: Iterable[Publish | HubError], ordered: bool
) -> list[dict[str, Any]]:
    def allow(command: Publish) -> Publication:
        return checked(context, identity, command)

    return await publish_all(context.node, commands, allow, ordered=ordered)


def checked(context: HttpContext, identity: Identity, command: Publish) -> Publication:
    """What `identity` asks for, where rights, sizes and rates allow it.

    Raises:
        HubError: why not.
    """
    publication = context.node.publication_checks.publication(command, identity, None)
    context.rates.check_publication(identity, command.channel)
    return publication


def _list(body: dict[str, Any], name: str) -> list[Any]:
    value = body.get(name)
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_BATCH:
        raise bad(f"{name} must be a list of 1 to {MAX_BATCH}")
    return value

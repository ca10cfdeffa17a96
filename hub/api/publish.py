"""Publishing by HTTP."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..auth.identity import Identity
from ..protocol.codec import describe
from ..protocol.codes import ErrorCode
from ..protocol.commands import Publish, parse_publish
from ..protocol.errors import HubError
from ..protocol.event import Publication
from ..publishing import published_fields
from .requests import Requests, answer

MAX_BATCH = 1000


async def publish(requests: Requests, request: Request) -> Response:
    """`POST /v1/publish`."""
    identity = await requests.identity(request)
    publication = _publication(requests, identity, await requests.object(request))
    (result,) = await requests.node.publish([publication])
    if isinstance(result, HubError):
        result.channel = publication.channel
        raise result
    return answer(published_fields(publication.channel, result))


async def batch(requests: Requests, request: Request) -> Response:
    """`POST /v1/batch`."""
    identity = await requests.identity(request)
    events = (await requests.object(request)).get("events")
    return answer({"results": await _publish_all(requests, identity, _list(events, "events"))})


async def broadcast(requests: Requests, request: Request) -> Response:
    """`POST /v1/broadcast`: one event to many channels."""
    identity = await requests.identity(request)
    body = await requests.object(request)
    channels = _list(body.pop("channels", None), "channels")
    entries = [{**body, "channel": channel} for channel in channels]
    return answer({"results": await _publish_all(requests, identity, entries)})


async def _publish_all(requests: Requests, identity: Identity, entries: list[Any]) -> list[dict[str, Any]]:
    """Publish each; the answers are in order, and a refused one leaves the others."""
    results: list[dict[str, Any]] = [{}] * len(entries)
    publications: list[Publication] = []
    places: list[int] = []
    for place, entry in enumerate(entries):
        try:
            publications.append(_publication(requests, identity, entry))
            places.append(place)
        except HubError as error:
            results[place] = _failed(error, entry)
    published = await requests.node.publish(publications) if publications else []
    for place, publication, result in zip(places, publications, published, strict=True):
        if isinstance(result, HubError):
            results[place] = {**result.fields(), "channel": publication.channel}
        else:
            results[place] = published_fields(publication.channel, result)
    return results


def _publication(requests: Requests, identity: Identity, entry: Any) -> Publication:
    if not isinstance(entry, dict):
        raise HubError(ErrorCode.BAD_MESSAGE, f"an event must be an object, not {describe(entry)}")
    command: Publish = parse_publish(None, entry)
    publication = requests.node.publishing.publication(command, identity, None)
    requests.check_rate(identity, command.channel)
    return publication


def _failed(error: HubError, entry: Any) -> dict[str, Any]:
    fields = error.fields()
    if isinstance(entry, dict) and isinstance(entry.get("channel"), str):
        fields["channel"] = entry["channel"][:256]
    return fields


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_BATCH:
        raise HubError(ErrorCode.BAD_MESSAGE, f"{name} must be a list of 1 to {MAX_BATCH}")
    return value

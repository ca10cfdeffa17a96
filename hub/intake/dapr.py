"""Dapr's pub/sub without its SDK: the sidecar asks what is subscribed to, and brings each message as a CloudEvent.

Source: Dapr "Pub/sub API reference", ``/dapr/subscribe`` and "Expected HTTP Response".
"""

import hmac
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..bridge.formats import Unreadable, parsed
from ..bridge.records import Record
from ..http.answers import answer
from ..http.context import HttpContext
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from .door import Door, Outcome
from .settings import DaprSettings, DaprSubscription

EVENTS = "/dapr/events"


class Dapr:
    """The routes that a sidecar calls."""

    def __init__(self, settings: DaprSettings) -> None:
        self._token = settings.token.get_secret_value().encode()
        self._subscriptions = settings.subscriptions
        self._doors = {(each.pubsub, each.topic): _door(each) for each in settings.subscriptions}

    async def subscribe(self, _context: HttpContext, request: Request) -> Response:
        """`GET /dapr/subscribe`: what the settings name."""
        self._check(request)
        return answer([_subscription(each) for each in self._subscriptions])

    async def events(self, context: HttpContext, request: Request) -> Response:
        """`POST /dapr/events`: SUCCESS, RETRY while the storage is away, DROP for what is kept as a dead
        letter (Dapr hands it to its own dead letter topic, where there is one)."""
        self._check(request)
        body = await context.body(request)
        try:
            outcome = await self._take(context, body)
        except HubError as error:
            if not error.retry:
                raise
            return answer({"status": "RETRY"})
        return answer({"status": "DROP" if outcome is Outcome.DEAD else "SUCCESS"})

    async def _take(self, context: HttpContext, body: bytes) -> Outcome:
        try:
            envelope = parsed(body)
        except Unreadable:
            envelope = None
        fields = envelope if isinstance(envelope, dict) else {}
        topic = str(fields.get("pubsubname")), str(fields.get("topic"))
        record = Record(body, id=_identity(fields))
        if (door := self._doors.get(topic)) is None:
            door = next(iter(self._doors.values()))
            await door.keep(context, record, ErrorCode.BAD_MESSAGE.value, "no subscription has this topic")
            return Outcome.DEAD
        return await door.take(context, record)

    def _check(self, request: Request) -> None:
        given = request.headers.get("dapr-api-token", "").encode()
        if not hmac.compare_digest(given, self._token):
            raise HubError(ErrorCode.UNAUTHENTICATED, "the header dapr-api-token is missing or wrong")


def _door(settings: DaprSubscription) -> Door:
    return Door(settings, f"{settings.name}:dapr/{settings.topic}")


def _identity(envelope: dict[str, Any]) -> str | None:
    """The publisher's ``event_id`` where there is one: Dapr gives each publish a new `id`."""
    data = envelope.get("data")
    for found in (data.get("event_id") if isinstance(data, dict) else None, envelope.get("id")):
        if isinstance(found, str) and found:
            return found
    return None


def _subscription(settings: DaprSubscription) -> dict[str, Any]:
    found: dict[str, Any] = {"pubsubname": settings.pubsub, "topic": settings.topic, "route": EVENTS}
    if settings.dead_letter_topic is not None:
        found["deadLetterTopic"] = settings.dead_letter_topic
    return found

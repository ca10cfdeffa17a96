"""``hub publish`` and ``hub subscribe``: data as JSON lines on one stream, what happened on another."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import orjson

from hub.protocol.codec import loads_json
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.protocol.position import Position

from .client import Client
from .delivery import Delivery, HttpDelivery, TryAgain
from .errors import SdkError
from .items import Event, Gap, Item, Published, Snapshot, State, Status
from .publisher import Publisher
from .subscription import Subscription
from .tls import ClientTls
from .tokens import Token, TokenSource

DEADLINE_S = 30.0  # for one event to be stored
_TIMEOUT_S = 10.0  # of one request


class _Telling:
    """`Delivery` that says at once where it finds nobody: a slip in the address is seen before the deadline."""

    def __init__(self, inner: Delivery, deadline: float, err: TextIO) -> None:
        self._inner = inner
        self._deadline = deadline
        self._err = err
        self._told = False

    async def send(self, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """As `Delivery.send`."""
        try:
            return await self._inner.send(events)
        except TryAgain as error:
            if not self._told:
                self._told = True
                _say(self._err, f"{error.reason}; it is tried again for up to {self._deadline:g} s")
            raise

    async def close(self) -> None:
        """As `Delivery.close`."""
        await self._inner.close()


async def run_publish(
    url: str,
    channel: str,
    event: str,
    payload_json: str,
    *,
    token: Token,
    out: TextIO,
    err: TextIO,
    deadline: float | None = None,
    tls: ClientTls | None = None,
    **options: Any,
) -> int:
    """Publish one event over HTTP and print the hub's answer as a line of JSON; returns the exit status.

    `url` is the hub's, ``http://host:port``; `token` a JWT or an API key; `options` those of
    `Publisher.publish`: key, final, version, event_id, lease_ms.
    """
    try:
        payload = loads_json(payload_json)
        deadline = DEADLINE_S if deadline is None else deadline
        delivery = _Telling(
            HttpDelivery(url, TokenSource(token, _TIMEOUT_S), _TIMEOUT_S, tls=tls), deadline, err
        )
        async with Publisher(url, token=token, deadline=deadline, delivery=delivery) as publisher:
            published = await publisher.publish(channel, event, payload, **options)
    except (HubError, SdkError, ValueError) as error:
        _say(err, f"not published: {error}")
        return 1
    _print(out, _published(published))
    return 0


async def run_subscribe(
    url: str,
    channels: Sequence[str],
    since: Sequence[str],
    token: Token,
    out: TextIO,
    err: TextIO,
    *,
    max_rate: float | None = None,
    tls: ClientTls | None = None,
) -> int:
    """Print the events of `channels` as lines of JSON until cancelled; reconnects and resumes.

    With no channels, those of the token. `since`: ``epoch:offset`` where there is one channel, else
    ``channel@epoch:offset``, each. Connections, gaps and, at the end, the positions go to `err`. Returns the
    exit status, where something stops it: 1.
    """
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    followed: list[tuple[Subscription, asyncio.Task[None]]] = []

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and not over.done() and (error := task.exception()) is not None:
            over.set_exception(error)

    def follow(subscription: Subscription) -> None:
        task = asyncio.create_task(_follow(subscription, out, err))
        task.add_done_callback(ended)
        followed.append((subscription, task))

    try:
        places = _places(channels, since)
        told = Client(
            url,
            token,
            ssl=None if tls is None else tls.context,
            on_status=lambda status: _tell(err, status),
            on_subscription=follow,
        )
        async with told as client:
            for channel in channels:
                follow(client.subscribe(channel, since=places.get(channel), max_rate=max_rate))
            stopped = asyncio.create_task(client.wait())
            stopped.add_done_callback(ended)
            await over
    except (HubError, SdkError, ValueError, TimeoutError) as error:
        _say(err, f"stopped: {error}")
    finally:
        await asyncio.gather(*(task for _, task in followed), return_exceptions=True)
        for subscription, _ in followed:
            if subscription.position is not None:
                _say(err, f"{subscription.channel} is at {subscription.position}")
    return 1


async def _follow(subscription: Subscription, out: TextIO, err: TextIO) -> None:
    async for item in subscription:
        _show(item, out, err)


def _show(item: Item, out: TextIO, err: TextIO) -> None:
    if isinstance(item, Event):
        _print(out, event_fields(item))
    elif isinstance(item, Snapshot):
        _say(err, f"{item.channel}: a snapshot at {item.position}, keys: {len(item.events)}")
        for event in item.events:
            _print(out, event_fields(event))
    elif isinstance(item, Gap):
        _say(err, f"{item.channel}: GAP, {item.first} to {item.last} of {item.epoch} are lost ({item.cause})")


def event_fields(event: Event) -> dict[str, Any]:
    """An event as the contract writes it."""
    fields: dict[str, Any] = {
        "type": event.type,
        "channel": event.channel,
        "offset": event.offset,
        "id": event.id,
        "time": event.time,
        "key": event.key,
        "final": event.final or None,
        "version": event.version,
        "from": event.from_,
        "conflated": event.conflated or None,
    }
    return {name: value for name, value in fields.items() if value is not None} | {"payload": event.payload}


def _places(channels: Sequence[str], since: Sequence[str]) -> Mapping[str, Position]:
    places = {}
    for text in since:
        channel, at, position = text.rpartition("@")
        if not at and len(channels) != 1:
            raise HubError(ErrorCode.BAD_MESSAGE, "with several channels, since is channel@epoch:offset")
        places[channel if at else channels[0]] = Position.parse(position)
    return places


def _published(published: Published) -> dict[str, Any]:
    fields: dict[str, Any] = {"channel": published.channel, "event_id": published.event_id}
    if published.epoch is not None:
        fields |= {"epoch": published.epoch, "offset": published.offset}
    return {**fields, "stale": True} if published.stale else fields


def _tell(err: TextIO, status: Status) -> None:
    if status.state is State.STOPPED:
        return  # whoever stopped it says why
    text = f"{status.state}: {status.reason}" if status.reason else str(status.state)
    if status.state is State.CONNECTED:
        text = f"connected as {status.reason}{', returning' if status.resumed else ''}"
    _say(err, text if status.delay is None else f"{text} (again in {status.delay:.1f} s)")


def _print(out: TextIO, value: dict[str, Any]) -> None:
    out.write(orjson.dumps(value).decode() + "\n")
    out.flush()


def _say(err: TextIO, text: str) -> None:
    err.write(f"{text}\n")
    err.flush()

"""What services do with connections and tokens, and tickets for everybody."""

import math
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..auth.identity import Identity, Level
from ..auth.stream_tickets import MAX_CHANNELS
from ..commands.permissions import check_subscribe
from ..protocol.channels import is_reserved, namespace_of
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..protocol.position import Position
from .answers import answer
from .context import HttpContext
from .why import past

ASK_S = 1.0
KEY_TICKET_S = 86_400.0  # a socket that an API key's ticket opened: connections end, keys do not


async def issue_ticket(context: HttpContext, request: Request) -> Response:
    """`POST /v1/tickets`: a ticket for the bearer's own identity; with {stream: true, channels} one for streams,
    with {admin: true} one for a page of who runs the hub."""
    identity = await context.identity(request)
    if math.isinf(identity.expires_at):
        identity = replace(identity, expires_at=context.node.wall() + KEY_TICKET_S)
    body = await _wanted_ticket(context, request)
    if body.get("admin") is True:
        async with context.audited(request, identity, "sign_in", {"admin": identity.admin.name.lower()}):
            ticket, expires_in = context.node.admin_tickets.issue(identity)
    elif not body.get("stream"):
        ticket, expires_in = await context.tickets.issue(identity)
    else:
        channels = _streamed_channels(body)
        for channel in channels:
            check_subscribe(identity, channel)
        ticket, expires_in = context.stream_tickets.issue(identity, channels)
    return answer({"ticket": ticket, "expires_in": expires_in})


async def _wanted_ticket(context: HttpContext, request: Request) -> dict[str, Any]:
    """The body, where there is one: which kind of ticket is asked for."""
    if request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers:
        return {}
    return await context.object(request)


def _streamed_channels(body: dict[str, Any]) -> list[str]:
    """The channels of a stream ticket."""
    channels = body.get("channels")
    if not isinstance(channels, list) or not all(isinstance(each, str) for each in channels):
        raise HubError(ErrorCode.BAD_MESSAGE, "channels must be a list of channel names")
    if not 1 <= len(channels) <= MAX_CHANNELS:
        raise HubError(ErrorCode.BAD_MESSAGE, f"a stream ticket is for 1 to {MAX_CHANNELS} channels")
    for channel in channels:
        namespace_of(channel)
    return channels


async def disconnect(context: HttpContext, request: Request) -> Response:
    """`POST /v1/disconnect`: {user} or {connection}, reconnect?"""
    who = await context.control(request, Level.WRITE)
    body = await context.object(request)
    user, connection = _one_of(body, "user", "connection")
    reconnect = body.get("reconnect", False)
    if not isinstance(reconnect, bool):
        raise HubError(ErrorCode.BAD_MESSAGE, "reconnect must be true or false")
    what = {"user": user, "connection": connection, "reconnect": reconnect}
    async with context.audited(request, who, "disconnect", what):
        await context.node.cluster.disconnect(user=user, connection=connection, reconnect=reconnect)
    return answer({"sent": True})


async def subscribe(context: HttpContext, request: Request) -> Response:
    """`POST /v1/subscribe`: {user} or {connection}, channel, since?: a right and its use, on every node."""
    who, user, connection, channel, body = await _gift(context, request)
    since = body.get("since")
    if since is not None and not isinstance(since, str):
        raise HubError(ErrorCode.BAD_MESSAGE, "since is a position, written epoch:offset")
    position = None if since is None else Position.parse(since)
    context.node.namespaces.of(channel)
    target = {"user": user, "connection": connection, "channel": channel}
    async with context.audited(request, who, "subscribe", target):
        reached, complete = await context.node.cluster.subscribe(
            user=user, connection=connection, channel=channel, since=position, deadline_s=ASK_S
        )
    return answer({"connections": reached, "complete": complete})


async def unsubscribe(context: HttpContext, request: Request) -> Response:
    """`POST /v1/unsubscribe`: {user} or {connection}, channel: the subscription ends, on every node."""
    who, user, connection, channel, _ = await _gift(context, request)
    target = {"user": user, "connection": connection, "channel": channel}
    async with context.audited(request, who, "unsubscribe", target):
        reached, complete = await context.node.cluster.unsubscribe(
            user=user, connection=connection, channel=channel, deadline_s=ASK_S
        )
    return answer({"connections": reached, "complete": complete})


async def _gift(
    context: HttpContext, request: Request
) -> tuple[Identity, str | None, str | None, str, dict[str, Any]]:
    """Who gives whose right to which channel; who gives or takes it must be a service that has it."""
    identity = await context.identity(request)
    if not identity.service:
        raise HubError(ErrorCode.FORBIDDEN, "only a service gives and takes rights")
    body = await context.object(request)
    user, connection = _one_of(body, "user", "connection")
    channel = body.get("channel")
    if not isinstance(channel, str):
        raise HubError(ErrorCode.BAD_MESSAGE, "channel must be a string")
    namespace_of(channel)
    if is_reserved(channel) or not identity.may_subscribe(channel):
        raise HubError(ErrorCode.FORBIDDEN, f"{channel} is not this service's to give", channel=channel)
    return identity, user, connection, channel, body


async def revoke(context: HttpContext, request: Request) -> Response:
    """`POST /v1/revoke`: {sub} or {jti}."""
    who = await context.control(request, Level.WRITE)
    body = await context.object(request)
    sub, jti = _one_of(body, "sub", "jti")
    until = context.node.wall() + context.node.settings.revocation_ttl
    async with context.audited(request, who, "revoke", {"sub": sub, "jti": jti}, goes_ahead=True):
        await context.node.cluster.revoke(f"sub:{sub}" if sub is not None else f"jti:{jti}", until)
    return answer({"revoked": True, "until": int(until * 1000)})


async def connections(context: HttpContext, request: Request) -> Response:
    """`GET /v1/connections?user=`, `connection=`, `channel=`, `address=`: why did it not come?"""
    await context.control(request, Level.READ)
    query = {name: request.query_params.get(name) for name in ("user", "connection", "channel")}
    query["limit"] = _limit(request)
    if request.query_params.get("closed") == "true":
        return await past(context, query)
    query["address"] = request.query_params.get("address")
    found, complete = await context.node.cluster.find_connections(query, ASK_S)
    return answer({"connections": found, "complete": complete})


def _limit(request: Request) -> str | None:
    """At most so many connections of each node."""
    text = request.query_params.get("limit")
    if text is not None and not (text.isascii() and text.isdigit() and 0 < len(text) <= 4 and int(text)):
        raise HubError(ErrorCode.BAD_MESSAGE, "limit must be an integer from 1 to 9999")
    return text


async def drain(context: HttpContext, request: Request) -> Response:
    """`POST /v1/drain`: this node departs."""
    who = await context.control(request, Level.WRITE)
    async with context.audited(request, who, "drain", {"node": context.node.id}, goes_ahead=True):
        await context.node.readiness.drain_all()
    return answer({"draining": True, "node": context.node.id}, 202)


def _one_of(body: dict[str, Any], first: str, second: str) -> tuple[str | None, str | None]:
    values = body.get(first), body.get(second)
    given = [value for value in values if value is not None]
    if len(given) != 1 or not isinstance(given[0], str) or not given[0]:
        raise HubError(ErrorCode.BAD_MESSAGE, f"give either {first} or {second}, a string")
    return values

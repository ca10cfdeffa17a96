"""What services do with connections and tokens, and tickets for everybody."""

import math
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..auth.tickets import Tickets
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from .answers import answer
from .context import HttpContext

ASK_S = 1.0
KEY_TICKET_S = 86_400.0  # a socket that an API key's ticket opened: connections end, keys do not


class TicketCounter:
    """The route that needs the tickets beside the node."""

    def __init__(self, tickets: Tickets) -> None:
        self._tickets = tickets

    async def issue(self, context: HttpContext, request: Request) -> Response:
        """`POST /v1/tickets`: a ticket for the bearer's own identity."""
        identity = await context.identity(request)
        if math.isinf(identity.expires_at):
            identity = replace(identity, expires_at=context.node.wall() + KEY_TICKET_S)
        ticket, expires_in = await self._tickets.issue(identity)
        return answer({"ticket": ticket, "expires_in": expires_in})


async def disconnect(context: HttpContext, request: Request) -> Response:
    """`POST /v1/disconnect`: {user} or {connection}, reconnect?"""
    await context.service(request)
    body = await context.object(request)
    user, connection = _one_of(body, "user", "connection")
    reconnect = body.get("reconnect", False)
    if not isinstance(reconnect, bool):
        raise HubError(ErrorCode.BAD_MESSAGE, "reconnect must be true or false")
    await context.node.cluster.disconnect(user=user, connection=connection, reconnect=reconnect)
    return answer({"sent": True})


async def revoke(context: HttpContext, request: Request) -> Response:
    """`POST /v1/revoke`: {sub} or {jti}."""
    await context.service(request)
    body = await context.object(request)
    sub, jti = _one_of(body, "sub", "jti")
    until = context.node.wall() + context.node.settings.revocation_ttl
    await context.node.cluster.revoke(f"sub:{sub}" if sub is not None else f"jti:{jti}", until)
    return answer({"revoked": True, "until": int(until * 1000)})


async def connections(context: HttpContext, request: Request) -> Response:
    """`GET /v1/connections?user=`, or `connection=`, or `channel=`: the answer to "why did it not come?"."""
    await context.service(request)
    query = {name: request.query_params.get(name) for name in ("user", "connection", "channel")}
    found, complete = await context.node.cluster.find_connections(query, ASK_S)
    return answer({"connections": found, "complete": complete})


async def drain(context: HttpContext, request: Request) -> Response:
    """`POST /v1/drain`: this node departs."""
    await context.service(request)
    await context.node.readiness.drain_all()
    return answer({"draining": True}, 202)


def _one_of(body: dict[str, Any], first: str, second: str) -> tuple[str | None, str | None]:
    values = body.get(first), body.get(second)
    given = [value for value in values if value is not None]
    if len(given) != 1 or not isinstance(given[0], str) or not given[0]:
        raise HubError(ErrorCode.BAD_MESSAGE, f"give either {first} or {second}, a string")
    return values

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
from .requests import Requests

ASK_S = 1.0
KEY_TICKET_S = 86_400.0  # a socket that an API key's ticket opened: connections end, keys do not


class TicketCounter:
    """The route that needs the tickets beside the node."""

    def __init__(self, tickets: Tickets) -> None:
        self._tickets = tickets

    async def issue(self, requests: Requests, request: Request) -> Response:
        """`POST /v1/tickets`: a ticket for the bearer's own identity."""
        identity = await requests.identity(request)
        if math.isinf(identity.expires_at):
            identity = replace(identity, expires_at=requests.node.wall() + KEY_TICKET_S)
        ticket, expires_in = await self._tickets.issue(identity)
        return answer({"ticket": ticket, "expires_in": expires_in})


async def disconnect(requests: Requests, request: Request) -> Response:
    """`POST /v1/disconnect`: {user} or {connection}, reconnect?"""
    await requests.service(request)
    body = await requests.object(request)
    user, connection = _one_of(body, "user", "connection")
    reconnect = body.get("reconnect", False)
    if not isinstance(reconnect, bool):
        raise HubError(ErrorCode.BAD_MESSAGE, "reconnect must be true or false")
    await requests.node.fleet.disconnect(user=user, connection=connection, reconnect=reconnect)
    return answer({"sent": True})


async def revoke(requests: Requests, request: Request) -> Response:
    """`POST /v1/revoke`: {sub} or {jti}."""
    await requests.service(request)
    body = await requests.object(request)
    sub, jti = _one_of(body, "sub", "jti")
    until = requests.node.wall() + requests.node.settings.revocation_ttl
    await requests.node.fleet.revoke(f"sub:{sub}" if sub is not None else f"jti:{jti}", until)
    return answer({"revoked": True, "until": int(until * 1000)})


async def connections(requests: Requests, request: Request) -> Response:
    """`GET /v1/connections?user=`, or `connection=`, or `channel=`: the answer to "why did it not come?"."""
    await requests.service(request)
    query = {name: request.query_params.get(name) for name in ("user", "connection", "channel")}
    found, complete = await requests.node.fleet.find_connections(query, ASK_S)
    return answer({"connections": found, "complete": complete})


async def drain(requests: Requests, request: Request) -> Response:
    """`POST /v1/drain`: this node departs."""
    await requests.service(request)
    await requests.node.readiness.drain_all()
    return answer({"draining": True}, 202)


def _one_of(body: dict[str, Any], first: str, second: str) -> tuple[str | None, str | None]:
    values = body.get(first), body.get(second)
    given = [value for value in values if value is not None]
    if len(given) != 1 or not isinstance(given[0], str) or not given[0]:
        raise HubError(ErrorCode.BAD_MESSAGE, f"give either {first} or {second}, a string")
    return values

"""python-socketio as its documentation shows it: rooms and emit, on uvicorn with uvloop and httptools.

Run by the load test as ``socketio_app.py HOST PORT`` with the HS256 secret in PEER_SECRET.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import jwt
import socketio
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

SECRET = os.environ["PEER_SECRET"]
server = socketio.AsyncServer(async_mode="asgi", transports=["websocket"], http_compression=False)


@server.event  # type: ignore[untyped-decorator]
async def connect(sid: str, environ: dict[str, Any], auth: dict[str, Any]) -> None:
    try:
        jwt.decode(auth["token"], SECRET, algorithms=["HS256"])
    except jwt.InvalidTokenError as error:
        raise ConnectionRefusedError("token") from error
    for channel in auth["channels"]:
        await server.enter_room(sid, channel)


async def publish(request: Request) -> Response:
    await server.emit("load", await request.json(), room=request.query_params["channel"])
    return Response(status_code=202)


app = socketio.ASGIApp(server, Starlette(routes=[Route("/publish", publish, methods=["POST"])]))

if __name__ == "__main__":
    uvicorn.run(
        app,
        host=sys.argv[1],
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        ws="auto",
        ws_per_message_deflate=False,
        access_log=False,
        log_level="warning",
        backlog=4096,
    )

"""The plain way: a set of sockets for each channel, and a loop of sends. uvloop, httptools, no compression.

Run by the load test as ``starlette_loop.py HOST PORT`` with the HS256 secret in PEER_SECRET.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from typing import TYPE_CHECKING

import jwt
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

if TYPE_CHECKING:
    from starlette.requests import Request

SECRET = os.environ["PEER_SECRET"]
sockets: defaultdict[str, set[WebSocket]] = defaultdict(set)


async def subscribe(websocket: WebSocket) -> None:
    try:
        jwt.decode(websocket.query_params["token"], SECRET, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        await websocket.close(4202)
        return
    channels = websocket.query_params.getlist("channel")
    await websocket.accept()
    for channel in channels:
        sockets[channel].add(websocket)
    await websocket.send_text("joined")
    try:
        while True:
            await websocket.receive_text()
    except WebSocketDisconnect:
        pass
    finally:
        for channel in channels:
            sockets[channel].discard(websocket)


async def publish(request: Request) -> Response:
    text = (await request.body()).decode()
    for websocket in list(sockets[request.query_params["channel"]]):
        await websocket.send_text(text)
    return Response(status_code=202)


app = Starlette(routes=[WebSocketRoute("/ws", subscribe), Route("/publish", publish, methods=["POST"])])

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

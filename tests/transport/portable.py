"""The portable lane as users build it: the hub mounted into an app of theirs, under a server of their choice.

python -m tests.transport.portable PORT
"""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from hub.app import Hub
from hub.transport.uvicorn_websocket import BoundedWebSocketProtocol


async def livez(_request: Request) -> Response:
    return Response("ok")


hub = Hub()
app = Starlette(lifespan=hub.lifespan, routes=[Route("/livez", livez), Mount("/hub", hub.app)])

if __name__ == "__main__":
    # At its level "info" uvicorn writes the query of a WebSocket into its log, and so a token.
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        ws=BoundedWebSocketProtocol,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
    )

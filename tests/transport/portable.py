"""The portable lane as users build it: the hub mounted into an app of theirs, under a server of their choice.

python -m tests.transport.portable PORT
"""

import ssl
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from hub.app import Hub
from hub.transport.uvicorn_http import CertifiedHttpProtocol
from hub.transport.uvicorn_websocket import BoundedWebSocketProtocol


async def livez(_request: Request) -> Response:
    return Response("ok")


hub = Hub()
app = Starlette(lifespan=hub.lifespan, routes=[Route("/livez", livez), Mount("/hub", hub.app)])

if __name__ == "__main__":
    tls = hub.settings  # of the server itself in this lane; the hub's settings are as good a place as any
    # At its level "info" uvicorn writes the query of a WebSocket into its log, and so a token.
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        http=CertifiedHttpProtocol,
        ws=BoundedWebSocketProtocol,
        ssl_certfile=tls.tls_cert,
        ssl_keyfile=tls.tls_key,
        ssl_ca_certs=tls.tls_client_ca,
        ssl_cert_reqs=ssl.CERT_OPTIONAL if tls.tls_client_ca else ssl.CERT_NONE,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
    )

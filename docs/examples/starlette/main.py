"""A hub inside a Starlette app: who may see a document, its edits, and calls that take long."""

import os
import secrets
import time
from typing import Any

import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route

from hub.app import Hub
from hub.handlers import CallRequest, Refuse, SubscribeRequest

CLOSED = {"doc:closed"}

hub = Hub(
    jwt_secret=os.environ.get("HUB_JWT_SECRET") or secrets.token_urlsafe(32),
    handler_timeout=10.0,  # seconds: a report takes five
)


@hub.on_subscribe("doc:*")
async def may_read(request: SubscribeRequest) -> None:
    """In the event loop, so it only awaits."""
    if request.channel in CLOSED:
        raise Refuse("this document is closed")


@hub.on_call("report")
def report(request: CallRequest) -> dict[str, Any]:
    """A plain function runs in a thread: it may block, and nobody else waits."""
    time.sleep(5)
    return {"of": request.payload, "for": request.user}


async def edit(request: Request) -> JSONResponse:
    """Who has subscribed to the document gets the change."""
    stored = await hub.publish(f"doc:{request.path_params['name']}", "edit", await request.json())
    return JSONResponse({"offset": stored.position.offset if stored.position else None})


async def token(request: Request) -> PlainTextResponse:
    """For trying it out: a real app says who its own session is of."""
    user = request.path_params["user"]
    claims = {"sub": user, "exp": int(time.time()) + 3600, "hub": {"subscribe": ["doc:*"]}}
    secret = hub.settings.jwt_secret
    assert secret is not None
    return PlainTextResponse(jwt.encode(claims, secret.get_secret_value()))


app = Starlette(
    lifespan=hub.lifespan,
    routes=[
        Mount("/hub", hub.app),
        Route("/documents/{name}/edits", edit, methods=["POST"]),
        Route("/token/{user}", token),
    ],
)

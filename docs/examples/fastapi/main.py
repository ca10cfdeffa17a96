"""A hub inside a FastAPI app: who may see a document, its edits, and calls that take long."""

import os
import secrets
import time
from typing import Any

import jwt
from fastapi import FastAPI, Response

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


app = FastAPI(lifespan=hub.lifespan)
app.mount("/hub", hub.app)


@app.post("/documents/{name}/edits")
async def edit(name: str, change: dict[str, Any]) -> dict[str, int | None]:
    """Who has subscribed to the document gets the change."""
    stored = await hub.publish(f"doc:{name}", "edit", change)
    return {"offset": stored.position.offset if stored.position else None}


@app.get("/token/{user}")
async def token(user: str) -> Response:
    """For trying it out: a real app says who its own session is of."""
    claims = {"sub": user, "exp": int(time.time()) + 3600, "hub": {"subscribe": ["doc:*"]}}
    secret = hub.settings.jwt_secret
    assert secret is not None
    return Response(jwt.encode(claims, secret.get_secret_value()), media_type="text/plain")

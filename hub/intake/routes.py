"""The routes that the settings name, and how the OpenAPI document describes them."""

from typing import Any

from ..http.app import Addition
from ..http.schemas import ref
from ..settings import Settings
from .cloudevents import BATCHED, STRUCTURED, CloudEvents, is_event
from .dapr import EVENTS, Dapr
from .hooks import Hooks
from .settings import read

_ANY: dict[str, Any] = {"content": {"application/json": {"schema": {}}}}
_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
_EVENT = {"type": "object", "required": ["id", "source", "specversion", "type"]}


def additions(settings: Settings) -> list[Addition]:
    """What is served beside the hub's own routes.

    Raises:
        ValueError: a line for each setting that is wrong.
    """
    found, given = [], read(settings)
    if given.hooks:
        found.append(Addition("/v1/hooks/{name}", Hooks(given.hooks).post, "POST", _hook()))
    if given.cloudevents is not None:
        events = CloudEvents(given.cloudevents)
        found.append(Addition("/v1/publish", events.post, "POST", only=is_event))
        found.append(Addition("/v1/cloudevents", events.post, "POST", _cloudevents()))
        found.append(Addition("/v1/cloudevents", events.options, "OPTIONS", _handshake()))
    if given.dapr is not None:
        dapr = Dapr(given.dapr)
        found.append(Addition("/dapr/subscribe", dapr.subscribe, "GET", _subscriptions()))
        found.append(Addition(EVENTS, dapr.events, "POST", _dapr_event()))
    return found


def _operation(id: str, summary: str, good: dict[str, Any], *bad: int, **more: Any) -> dict[str, Any]:
    problem = {"description": "Refused", "content": {"application/problem+json": {"schema": ref("Problem")}}}
    responses = {**good, **{str(status): problem for status in bad}}
    return {"tags": ["intake"], "operationId": id, "summary": summary, "responses": responses, **more}


def _hook() -> dict[str, Any]:
    good = {"202": {"description": "Stored, left out, or kept as a dead letter", **_ANY}}
    summary = "A webhook of somebody else, by its signature"
    return _operation(
        "hook", summary, good, 401, 404, 413, 503, parameters=[_NAME], security=[{}], requestBody=_ANY
    )


def _cloudevents() -> dict[str, Any]:
    content = {
        STRUCTURED: {"schema": _EVENT},
        BATCHED: {"schema": {"type": "array", "items": _EVENT}},
        "*/*": {"schema": {}},
    }
    good = {"200": {"description": "Stored", **_ANY}}
    summary = "CloudEvents: structured, batched, or binary with headers ce-…; at /v1/publish too"
    return _operation(
        "cloudevents", summary, good, 400, 401, 403, 413, 429, 503, requestBody={"content": content}
    )


def _handshake() -> dict[str, Any]:
    good = {"200": {"description": "The sender may"}, "204": {"description": "Nobody asked"}}
    return _operation("cloudeventsHandshake", "May this origin send?", good, 403, security=[{}])


def _subscriptions() -> dict[str, Any]:
    good = {"200": {"description": "Topics and their route", **_ANY}}
    return _operation("daprSubscribe", "What a Dapr sidecar subscribes to", good, 401, security=[{}])


def _dapr_event() -> dict[str, Any]:
    good = {"200": {"description": "SUCCESS, RETRY or DROP", **_ANY}}
    summary = "A message of a Dapr topic"
    return _operation("daprEvent", summary, good, 401, 413, security=[{}], requestBody=_ANY)

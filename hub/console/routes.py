"""The routes of the console, and how the OpenAPI document describes those that are no pages."""

from typing import Any

from ..http.app import Addition
from ..http.schemas import ref
from ..settings import Settings
from . import pages
from .facts import Facts

_JSON: dict[str, Any] = {"content": {"application/json": {"schema": {"type": "object"}}}}


def additions(settings: Settings) -> list[Addition]:
    """What is served beside the hub's own routes."""
    facts = Facts(settings)
    return [
        Addition("/", pages.home),
        Addition("/console", pages.page),
        Addition("/console/{name}", pages.part),
        Addition(
            "/v1/console", facts.me, operation=_read("console", "Who has signed in, and what may be done")
        ),
        Addition(
            "/v1/nodes",
            facts.nodes,
            operation=_read(
                "nodes", "What each node is and does", _query("samples", "true: the last 15 minutes too")
            ),
        ),
        Addition(
            "/v1/channels",
            facts.channels,
            operation=_read(
                "openChannels",
                "Up to 100 channels of each node that somebody listens to, the most listened to first",
                _query("search", "only names that hold this"),
            ),
        ),
        Addition(
            "/v1/settings",
            facts.settings,
            operation=_read("settings", "This node's settings, without secrets"),
        ),
        Addition(
            "/v1/tokens",
            facts.mint,
            "POST",
            _write(
                "mintToken", "A token by the hub's own secret, where HUB_CONSOLE_MINT allows it", "user", 409
            ),
        ),
    ]


def _operation(id: str, summary: str, *bad: int, **more: Any) -> dict[str, Any]:
    problem = {"description": "Refused", "content": {"application/problem+json": {"schema": ref("Problem")}}}
    responses = {"200": {"description": "Found", **_JSON}, **{str(status): problem for status in bad}}
    return {
        "tags": ["node"],
        "operationId": id,
        "summary": f"{summary} (admin)",
        "responses": responses,
        **more,
    }


def _read(id: str, summary: str, *parameters: dict[str, Any]) -> dict[str, Any]:
    more = {"parameters": list(parameters)} if parameters else {}
    return _operation(id, summary, 401, 403, 429, **more)


def _write(id: str, summary: str, required: str, *more: int) -> dict[str, Any]:
    schema = {"type": "object", "required": [required]}
    body = {"content": {"application/json": {"schema": schema}}, "required": True}
    return _operation(id, summary, 400, 401, 403, 413, 429, *more, requestBody=body)


def _query(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": {"type": "string"}}

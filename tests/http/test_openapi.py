"""The document says what the routes are, and what they answer fits its schemas."""

from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Route, WebSocketRoute

from hub.http.app import _routes
from hub.http.openapi import document
from hub.settings import Settings

from ..support.server import RunningHub


class Stand:
    """As much of `HttpContext` and `Handshaker` as making the routes asks for."""

    paths = ("/ws",)
    tracer = None

    def __init__(self) -> None:
        self.node = self
        self.settings = Settings()

    def at(self, _path: str) -> object:
        return self


def test_the_document_is_openapi_3_1(hub: RunningHub) -> None:
    answer = hub.http(None).get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()
    assert found["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(found).validate()


def test_every_route_is_in_it_and_nothing_else() -> None:
    served = {
        (route.path_format, method)
        for route in _routes(Stand(), Stand())  # type: ignore[arg-type]
        if isinstance(route, Route)
        for method in (route.methods or {"GET"}) - {"HEAD"}
    }
    described = {
        (path, method.upper())
        for path, operations in document("/ws")["paths"].items()
        for method in operations
    }
    assert served == described
    sockets = [route for route in _routes(Stand(), Stand()) if isinstance(route, WebSocketRoute)]  # type: ignore[arg-type]
    assert [route.path for route in sockets] == ["/ws"]


def fits(answer: httpx.Response, path: str) -> Any:
    """The answer's body, which must fit what the document says of `path` and its status."""
    spec = document("/ws")
    operation = spec["paths"][path][answer.request.method.lower()]
    content = operation["responses"][str(answer.status_code)]["content"]
    media = answer.headers["content-type"].partition(";")[0]
    schema = {**content[media]["schema"], "components": spec["components"]}
    errors = [error.message for error in Draft202012Validator(schema).iter_errors(answer.json())]
    assert errors == []
    return answer.json()


def test_answers_fit_their_schemas(hub: RunningHub) -> None:
    http = hub.http()
    event = {"channel": "job:spec", "event": "s", "payload": 1, "key": "k", "version": [1, 2], "final": True}
    fits(http.post("/v1/publish", json=event), "/v1/publish")
    fits(http.post("/v1/publish", json={**event, "channel": "x"}), "/v1/publish")
    fits(hub.http(None).post("/v1/publish", json=event), "/v1/publish")
    results = fits(
        http.post("/v1/batch", json={"events": [event, 1, {**event, "channel": "x"}]}), "/v1/batch"
    )
    assert len(results["results"]) == 3
    cast = {"channels": ["job:spec", "x"], "event": "s", "payload": 1}
    fits(http.post("/v1/broadcast", json=cast), "/v1/broadcast")
    for tail in ("", "/history", "/snapshot"):
        fits(http.get(f"/v1/channels/job:spec{tail}"), f"/v1/channels/{{channel}}{tail}")
        fits(http.get(f"/v1/channels/nope:1{tail}"), f"/v1/channels/{{channel}}{tail}")
    gap = fits(
        http.get("/v1/channels/job:spec/history", params={"since": "zzz:3"}), "/v1/channels/{channel}/history"
    )
    assert gap["gap"]["cause"] == "epoch"
    fits(http.delete("/v1/channels/job:spec/snapshot/k"), "/v1/channels/{channel}/snapshot/{key}")
    fits(http.delete("/v1/channels/job:spec"), "/v1/channels/{channel}")
    fits(http.get("/v1/channels/doc:spec/presence"), "/v1/channels/{channel}/presence")
    hub.secret(fits(http.post("/v1/tickets"), "/v1/tickets")["ticket"])
    fits(http.post("/v1/disconnect", json={"user": "nobody"}), "/v1/disconnect")
    fits(http.post("/v1/revoke", json={"jti": "nothing"}), "/v1/revoke")
    fits(http.get("/v1/connections"), "/v1/connections")
    fits(http.get("/livez"), "/livez")
    fits(http.get("/readyz"), "/readyz")
    fits(http.get("/ws"), "/ws")


@pytest.mark.parametrize("path", sorted(document("/ws")["paths"]))
def test_examples_fit_their_schemas(path: str) -> None:
    spec = document("/ws")
    for operation in spec["paths"][path].values():
        parts = [operation.get("requestBody", {}), *operation["responses"].values()]
        for media in (media for part in parts for media in part.get("content", {}).values()):
            schema = {**media["schema"], "components": spec["components"]}
            if "example" in media:
                Draft202012Validator(schema).validate(media["example"])

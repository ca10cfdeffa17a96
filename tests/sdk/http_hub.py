"""A real HTTP server whose answers to ``POST /v1/batch`` are scripted."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Answer = Callable[[list[dict[str, Any]]], Response]


def stored(events: list[dict[str, Any]]) -> Response:
    """What a hub with nothing else to do answers."""
    results = [
        {"channel": e["channel"], "epoch": "k", "offset": n, "event_id": e["event_id"]}
        for n, e in enumerate(events, 1)
    ]
    return JSONResponse({"results": results})


def problem(status: int, detail: str, code: str = "unavailable", **headers: str) -> Answer:
    """A refusal of the whole request."""
    body = {"status": status, "detail": detail, "code": code}
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _events: JSONResponse(body, status, fields, "application/problem+json")


class HttpHub:
    """Answers with the next of `answers`, then with `stored`; `batches` are what it was sent."""

    def __init__(self, *answers: Answer, gate: Callable[[], Awaitable[None]] | None = None) -> None:
        self._answers = list(answers)
        self._gate = gate
        self.batches: list[list[dict[str, Any]]] = []
        self.bearers: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> "HttpHub":
        app = Starlette(routes=[Route("/v1/batch", self._batch, methods=["POST"])])
        config = uvicorn.Config(app, port=0, log_level="error", lifespan="off")
        self._server = uvicorn.Server(config)
        self._server.config.load()
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup()
        self._ticking = asyncio.create_task(self._server.main_loop())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        await self._ticking
        await self._server.shutdown()

    async def _batch(self, request: Request) -> Response:
        events = json.loads(await request.body())["events"]
        self.batches.append(events)
        self.bearers.append(request.headers["Authorization"].removeprefix("Bearer "))
        answer = self._answers.pop(0) if self._answers else stored
        if self._gate is not None:
            await self._gate()
        return answer(events)

"""The demo, ``python -m hub.demo``: a hub with simulated jobs and a dashboard that shows them, and a whiteboard.

The pages and the routes that hand out tokens are mounted beside the hub here, as a team's own app would do it;
``hub serve`` has neither.
"""

import asyncio
import os
import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ..app import Hub
from ..assembly import file_problems
from ..cli import configuration, logs, remote, tokens
from ..cli.failure import Failure
from ..cli.serve import listen_all, with_made_up_keys, wscat_line
from ..http import browser
from ..runtime.tasks import Tasks
from ..server.serve import Server, server_config
from ..settings import Settings
from .jobs import CHANNEL, simulate

PAGES = Path(__file__).parent / "static"

TOKEN_S = 120
"""So short that one who watches for two minutes sees a token renewed in place."""

PORT = 8010
"""Where it listens unless the port is set: `hub serve` has 8000."""

WHITEBOARD = ["doc:whiteboard", "cursor:whiteboard"]
GUEST = re.compile(r"guest-[0-9a-f]{8}")


class Demo:
    """The hub with its neighbours, as one app."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.hub = Hub(settings)
        self.app = Starlette(
            lifespan=self._lifespan,
            routes=[
                Route("/", self._page),
                Route("/whiteboard", self._whiteboard),
                Route("/demo/token", self._token, methods=["POST"]),
                Route("/demo/whiteboard/token", self._guest_token, methods=["POST"]),
                Mount("/static", StaticFiles(directory=PAGES)),
                Mount("/client", StaticFiles(directory=browser.FOLDER, follow_symlink=True)),
                Mount("/", self.hub.app),
            ],
        )

    @asynccontextmanager
    async def _lifespan(self, _app: object) -> AsyncIterator[dict[str, Any]]:
        key = self._settings.service_key or ""
        tasks = Tasks()
        async with self.hub.lifespan() as state:
            tasks.spawn(simulate(remote.local_url(self._settings), key))
            try:
                yield state
            finally:
                await tasks.close()

    async def _page(self, _request: Request) -> Response:
        return FileResponse(PAGES / "dashboard.html")

    async def _whiteboard(self, _request: Request) -> Response:
        return FileResponse(PAGES / "whiteboard.html")

    async def _token(self, _request: Request) -> Response:
        """A token for whoever asks: here an application has its own login."""
        return self._signed("visitor", {"subscribe": [CHANNEL]})

    async def _guest_token(self, request: Request) -> Response:
        """The same for a guest of the whiteboard, who stays the same one when the token is renewed."""
        user = request.query_params.get("user", "")
        if not GUEST.fullmatch(user):
            return JSONResponse({"reason": "user must be guest-, and eight hex digits"}, 400)
        return self._signed(
            user, {"subscribe": WHITEBOARD, "publish": WHITEBOARD, "presence": WHITEBOARD[:1]}
        )

    def _signed(self, user: str, grants: dict[str, Any]) -> Response:
        token = tokens.sign(self._settings, user, grants, TOKEN_S)
        return JSONResponse({"token": token}, headers={"Cache-Control": "no-store"})


def serve(settings: Settings) -> int:
    """Serve the demo until Ctrl-C; returns the exit status."""
    sockets = _listen(settings)
    settings = settings.model_copy(update={"port": sockets[0].getsockname()[1]})
    demo = Demo(settings)
    config = server_config(demo.hub)
    config.app = demo.app
    print(
        f"\nThe dashboard:\n\n  {remote.local_url(settings)}/\n\n"
        f"A shared whiteboard (open it in two windows):\n\n  {remote.local_url(settings)}/whiteboard\n\n"
        f"The same events in a terminal (then type: sub {CHANNEL}):\n\n  {wscat_line(settings)}\n\n"
        "Ctrl-C ends it. Start it again: open pages go on where they were, and the drawing is still there.\n",
        flush=True,
    )
    node = Server(config, demo.hub)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(node.serve(sockets))
    return 0 if node.started else 1


def _listen(settings: Settings) -> list[socket.socket]:
    """Where the settings say; else at the demo's own port, or any other where somebody has that."""
    if "port" in settings.model_fields_set:
        return listen_all(settings)
    try:
        return listen_all(settings.model_copy(update={"port": PORT}))
    except Failure:
        return listen_all(settings.model_copy(update={"port": 0}))


def kept() -> Path:
    """Where the demo keeps its events: the folder for such things of the XDG base directories."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "notification-hub"
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Failure(f"{state} can't be made: {error.strerror} (XDG_STATE_HOME says where else)") from None
    return state / "demo.db"


def main() -> int:
    """The entry point; returns the exit status."""
    logs.set_up()
    try:
        # Finished jobs leave the snapshot soon: the page shows the last few. A drawing has many pieces.
        namespaces = {
            "job": {"snapshot_ttl": 60, "history_ttl": 3600},
            "doc": {"history_size": 20_000, "history_ttl": 86_400},
        }
        broker = f"sqlite://{quote(str(kept()))}"
        settings = with_made_up_keys(configuration.load(namespaces=namespaces, broker=broker))
        if file_problems(settings, starting=True):
            print("Another demo has the file of events: this one keeps them in its memory.", flush=True)
            settings = settings.model_copy(update={"broker": "memory://"})
        return serve(settings)
    except Failure as failure:
        for line in failure.lines:
            print(f"demo: {line}", file=sys.stderr)
        return failure.status

"""What the page asks for beside the hub's own routes: nodes, open channels, settings, new tokens; with `admin`."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .. import __version__
from ..auth import mint
from ..auth.identity import Level
from ..http.answers import answer
from ..http.context import HttpContext
from ..observe.overview import SAMPLED
from ..protocol import fields
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..settings import Settings
from .public_settings import public

ASK_S = 1.0
MAX_LIFE_S = 30 * 86_400
MAX_SEARCH = 200


class Facts:
    """The routes, for the settings of one node."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def me(self, context: HttpContext, request: Request) -> Response:
        """`GET /v1/console`: who has signed in, and what there is."""
        who = await context.admin(request, Level.READ)
        grants = {name: getattr(who.grants, name).patterns for name in ("subscribe", "publish", "presence")}
        return answer(
            {
                "user": who.user,
                "admin": who.admin.name.lower(),
                "expires_at": int(who.expires_at * 1000) if who.expires_at < 1e12 else None,
                "grants": grants,
                "socket": self._settings.path,
                "mint": self._settings.console_mint and who.admin >= Level.WRITE,
                "node": context.node.id,
                "version": __version__,
                "sampled": SAMPLED,
            }
        )

    async def nodes(self, context: HttpContext, request: Request) -> Response:
        """`GET /v1/nodes?samples=true`: what each node is and does; with the last 15 minutes where asked for."""
        await context.admin(request, Level.READ)
        found, complete = await context.node.cluster.ask_all("overview", ASK_S)
        body = {"nodes": found, "complete": complete, "from": context.node.id}
        if request.query_params.get("samples") == "true":
            body["samples"], all_told = await context.node.cluster.ask_all("samples", ASK_S)
            body["complete"] = complete and all_told
        return answer(body)

    async def channels(self, context: HttpContext, request: Request) -> Response:
        """`GET /v1/channels?search=`: channels that somebody listens to, the most listened to first."""
        await context.admin(request, Level.READ)
        search = request.query_params.get("search", "")[:MAX_SEARCH]
        found, complete = await context.node.cluster.ask_all("open_channels", ASK_S, search=search)
        return answer({"channels": _joined(found), "complete": complete})

    async def settings(self, context: HttpContext, request: Request) -> Response:
        """`GET /v1/settings`: this node's, without secrets."""
        await context.admin(request, Level.READ)
        return answer({"node": context.node.id, "settings": public(self._settings)})

    async def mint(self, context: HttpContext, request: Request) -> Response:
        """`POST /v1/tokens` {user, hub, ttl_s}: a token by the hub's own secret."""
        who = await context.admin(request, Level.WRITE)
        if not self._settings.console_mint:
            raise HubError(
                ErrorCode.FORBIDDEN, "tokens are minted where HUB_CONSOLE_MINT says so: hub serve --dev"
            )
        body = await context.object(request)
        user, hub, ttl = body.get("user"), body.get("hub", {}), body.get("ttl_s", 3600)
        if not isinstance(user, str) or not user or not isinstance(hub, dict):
            raise fields.bad("user must be a name, and hub an object: the claim hub of the token")
        if type(ttl) is not int or not 1 <= ttl <= MAX_LIFE_S:
            raise fields.bad(f"ttl_s must be a whole number of seconds, {MAX_LIFE_S} at most")
        async with context.audited(request, who, "mint", {"user": user, "hub": hub, "ttl_s": ttl}):
            try:
                token = mint.sign(self._settings, user, hub, ttl)
            except mint.CanNotSign as error:
                raise HubError(ErrorCode.CONFLICT, str(error)) from None
            await context.node.verify(token)  # one that the hub would refuse is not handed out
        return answer({"token": token})


def _joined(answers: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The nodes' channels by name: subscriptions added up, the position that is furthest."""
    found: dict[str, dict[str, Any]] = {}
    for each in (channel for one in answers for channel in one):
        other = found.setdefault(each["channel"], {**each, "subscribers": 0, "nodes": 0})
        other["subscribers"] += each["subscribers"]
        other["nodes"] += 1
        if each["offset"] > other["offset"]:
            other["epoch"], other["offset"] = each["epoch"], each["offset"]
    return sorted(found.values(), key=lambda each: (-each["subscribers"], each["channel"]))

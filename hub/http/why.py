"""What the nodes are doing, and why it did not come: what is over, and the explanation, over HTTP."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..auth.identity import Level
from ..observe.explain import Question
from ..observe.explain import explain as explain_event
from ..protocol import fields
from .answers import answer
from .context import HttpContext

ASK_S = 1.0


async def past(context: HttpContext, query: dict[str, str | None]) -> Response:
    """`GET /v1/connections?closed=true`: ends and refusals of the last 15 minutes, newest first."""
    answers, complete = await context.node.cluster.ask_all("past", ASK_S, query=query)
    found = sorted((each for one in answers for each in one), key=lambda each: -int(each["time"]))
    return answer({"past": found[: int(query.get("limit") or 1000)], "complete": complete})


async def top(context: HttpContext, request: Request) -> Response:
    """`GET /v1/top`: what each node is doing just now; `complete` where all of them answered."""
    await context.control(request, Level.READ)
    found, complete = await context.node.cluster.ask_all("traffic", ASK_S)
    return answer({"nodes": found, "complete": complete})


async def explain_token(context: HttpContext, request: Request) -> Response:
    """`POST /v1/tokens/explain`: {token} → {valid, lines}: whether it is good here, why, and what it allows.

    Whoever may ask anything may ask: who has the token knows what it says.
    """
    await context.identity(request)
    token = (await context.object(request)).get("token")
    if not isinstance(token, str) or not token:
        raise fields.bad("token must be a string that is not empty")
    lines = await context.node.explain_token(token.strip())
    return answer({"valid": lines[0].startswith("valid"), "lines": lines})


async def explain(context: HttpContext, request: Request) -> Response:
    """`POST /v1/explain`: {user | connection, channel, offset? | event_id?} → {cause, answer, steps, complete}."""
    await context.admin(request, Level.READ)
    question = _question(await context.object(request))
    target = {"user": question.user, "connection": question.connection, "channel": question.channel}
    facts, complete = await context.node.cluster.ask_all("facts", ASK_S, **target)
    silent = {} if complete else await context.node.cluster.silent([each["node"] for each in facts])
    found = await explain_event(question, facts, context.node.broker, context.node.namespaces, silent)
    return answer(
        {
            "cause": found.cause,
            "answer": found.answer,
            "steps": found.steps,
            "complete": complete,
            "nodes": [each["node"] for each in facts],
        }
    )


def _question(body: dict[str, Any]) -> Question:
    user, connection = (_text(body, name) for name in ("user", "connection"))
    if (user is None) == (connection is None):
        raise fields.bad("give either user or connection")
    channel = _text(body, "channel")
    if channel is None:
        raise fields.bad("channel is missing")
    offset = body.get("offset")
    if offset is not None and (type(offset) is not int or not 0 < offset <= 2**53):
        raise fields.bad("offset must be a whole number from 1")
    event_id = _text(body, "event_id")
    if offset is not None and event_id is not None:
        raise fields.bad("give either offset or event_id")
    return Question(channel, user, connection, offset, event_id)


def _text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= 256:
        raise fields.bad(f"{name} must be a string of 1 to 256 characters")
    return value

"""Dead letters over HTTP: written by services, looked at, repeated and dropped by who runs the hub."""

import base64
import binascii
import re
from dataclasses import replace
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from ..auth.identity import Level
from ..commands.publications import published_fields
from ..protocol import fields
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..protocol.masking import blanked, digest
from ..protocol.publications import parse_publish
from .answers import answer
from .context import HttpContext

MAX_BODY = (
    2_097_152  # bytes of a letter as they came; of what is longer the beginning is kept, and it says so
)
MAX_TEXT = 500
PAGE, MAX_PAGE = 100, 1000
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


async def put(context: HttpContext, request: Request) -> Response:
    """`POST /v1/deadletters`: {id, origin, code, reason, tries?, body, event?}, `body` in base64."""
    identity = await context.identity(request)
    if not identity.service:
        raise HubError(ErrorCode.FORBIDDEN, "only a service writes dead letters")
    given = await context.object(request, identity)
    kept = await keep(context, given, identity.user)
    return answer({"id": given["id"], "kept": kept}, 201 if kept else 200)


async def keep(context: HttpContext, given: dict[str, Any], by: str) -> bool:
    """Keep a letter that `by` writes; False where one of its id is kept already.

    Raises:
        HubError: ``bad_message``; ``limit`` where too many are kept; ``unavailable``.
    """
    id = _id(given.get("id"))
    try:
        body = base64.b64decode(given.get("body", ""), validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise fields.bad("body must be base64") from None
    event = given.get("event")
    if event is not None and not isinstance(event, dict):
        raise fields.bad(
            "event must be an object"
        )  # that it may be no good publication is why there is a letter
    if event is not None and (shown := context.node.namespaces.shown(event)) is not event:
        # Where the masked values stand in the message itself, only the mapping knows.
        event, body = shown, orjson.dumps({"bytes": len(body), "sha256": digest(body)})
    now = int(context.node.wall() * 1000)
    letter = {
        "id": id,
        **{name: _text(given, name) for name in ("origin", "code", "reason")},
        "tries": int(given["tries"]) if isinstance(given.get("tries"), int) else 1,
        "time": now,
        "by": by,
        "bytes": len(body),
        "body": base64.b64encode(body[:MAX_BODY]).decode(),
        **({} if event is None else {"event": event}),
    }
    return await context.node.broker.dead_letters.put(id, orjson.dumps(letter), now)


async def page(context: HttpContext, request: Request) -> Response:
    """`GET /v1/deadletters?from=&limit=`: oldest first, without bodies."""
    await context.admin(request, Level.READ)
    start = _number(request, "from", 0, 10**9)
    limit = max(1, _number(request, "limit", PAGE, MAX_PAGE))
    letters = context.node.broker.dead_letters
    found = [orjson.loads(letter) for _, letter in await letters.page(start, limit)]
    shown = [
        {name: value for name, value in letter.items() if name not in ("body", "event")} for letter in found
    ]
    return answer({"letters": shown, "next": start + len(shown), "count": await letters.count()})


async def show(context: HttpContext, request: Request) -> Response:
    """`GET /v1/deadletters/{id}`: whole to `admin:"write"`, else its shape: names and types, no values."""
    identity = await context.admin(request, Level.READ)
    letter = await _letter(context, request)
    if identity.admin < Level.WRITE:
        body = base64.b64decode(letter.pop("body"))
        event = letter.pop("event", None)
        letter["shape"] = _shape(body)
        if event is not None:
            letter["event"] = {
                **event,
                "payload": blanked(event.get("payload")),
                "meta": blanked(event.get("meta")),
            }
    return answer(letter)


async def replay(context: HttpContext, request: Request) -> Response:
    """`POST /v1/deadletters/{id}/replay`: its publication, once, behind what came since; then it is dropped.

    Its `event_id` is the letter's own, and it carries no `source`.
    """
    identity = await context.admin(request, Level.WRITE)
    letter = await _letter(context, request)
    if "webhook" in letter:
        to = letter["webhook"]
        what = {"letter": letter["id"], "channel": to["channel"], "endpoint": to["endpoint"]}
        async with context.audited(request, identity, "replay", what):
            return await _send_again(context, letter)
    event = letter.get("event")
    if event is None:
        why = "this letter was never mapped to a publication: mend the mapping, and replay it by its bridge"
        raise HubError(ErrorCode.CONFLICT, why)
    event = {name: value for name, value in event.items() if name not in ("source", "event_id_ttl_ms")}
    command = parse_publish(None, {**event, "event_id": f"letter-{letter['id']}"})
    # Who may write as admin repeats what a service wrote: it is a service's publication.
    service = replace(identity, service=True)
    publication = context.node.publication_checks.publication(command, service, None, allowed=True)
    what = {"letter": letter["id"], "channel": publication.channel, "as": "a service"}
    async with context.audited(request, identity, "replay", what):
        (result,) = await context.node.publish([publication])
        if isinstance(result, HubError):
            raise result
    await context.node.broker.dead_letters.drop(letter["id"])
    return answer({**published_fields(command, result), "replayed": letter["id"], "behind": True})


async def _send_again(context: HttpContext, letter: dict[str, Any]) -> Response:
    """What an endpoint did not take, once more behind what waits for it."""
    body: dict[str, Any] = orjson.loads(base64.b64decode(letter["body"]))
    happening = {**body, "kind": body["type"]}
    del happening["type"]
    to = letter["webhook"]
    await context.node.broker.intents.push(to["channel"], to["endpoint"], orjson.dumps(happening))
    await context.node.broker.dead_letters.drop(letter["id"])
    where = {"channel": to["channel"], "endpoint": to["endpoint"]}
    return answer({**where, "replayed": letter["id"], "behind": True})


async def drop(context: HttpContext, request: Request) -> Response:
    """`DELETE /v1/deadletters/{id}`."""
    who = await context.admin(request, Level.WRITE)
    id = _id(request.path_params["id"])
    async with context.audited(request, who, "drop_letter", {"letter": id}):
        if not await context.node.broker.dead_letters.drop(id):
            raise _unknown(id)
    return answer({"dropped": id})


async def _letter(context: HttpContext, request: Request) -> dict[str, Any]:
    id = _id(request.path_params["id"])
    found = await context.node.broker.dead_letters.get(id)
    if found is None:
        raise _unknown(id)
    letter: dict[str, Any] = orjson.loads(found)
    return letter


def _shape(body: bytes) -> Any:
    try:
        return blanked(orjson.loads(body))
    except orjson.JSONDecodeError:
        return {"bytes": len(body), "sha256": digest(body)}


def _unknown(id: str) -> HubError:
    return HubError(ErrorCode.BAD_MESSAGE, f"there is no dead letter {id}")


def _id(value: Any) -> str:
    if not isinstance(value, str) or _ID.match(value) is None:
        raise fields.bad("id must be 1 to 64 letters, digits, hyphens and underscores")
    return value


def _text(given: dict[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise fields.bad(f"{name} must be a string that is not empty")
    return "".join(character if character.isprintable() else "?" for character in value[:MAX_TEXT])


def _number(request: Request, name: str, default: int, most: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise fields.bad(f"{name} must be a whole number from 0")
    return min(int(text), most)

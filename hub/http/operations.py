"""The operations of the OpenAPI document: each route, what it takes and what it answers."""

from typing import Any

from ..protocol.commands import MAX_HISTORY
from .schemas import CHANNEL, ref

Operation = dict[str, Any]

_REASONS = {
    400: "The request is wrong, and the reason says where",
    401: "No credentials, or a token that is not good",
    403: "A right is missing",
    404: "The namespace is unknown",
    409: "The `event_id` was used for another body",
    413: "The payload or the body is too large",
    429: "Too often: wait `retry_after_ms`",
    503: "The storage is away: wait `retry_after_ms`",
}
_WAIT = {"Retry-After": {"description": "seconds", "schema": {"type": "integer", "minimum": 1}}}
_CHANNEL = {"name": "channel", "in": "path", "required": True, "schema": CHANNEL}
_EXAMPLE = {
    "channel": "job:42",
    "event": "job_status",
    "key": "42",
    "payload": {"state": "running", "progress": 40},
}
_PUBLISHED = {"channel": "job:42", "epoch": "k3f9", "offset": 17, "event_id": "e_01JB2Q"}


def _problems(*statuses: int) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": ref("Problem")}}
    return {
        str(status): {"description": _REASONS[status], "content": content}
        | ({"headers": _WAIT} if status in (429, 503) else {})
        for status in statuses
    }


def _json(description: str, schema: str, example: Any = None) -> dict[str, Any]:
    media: dict[str, Any] = {"schema": ref(schema)}
    if example is not None:
        media["example"] = example
    return {"description": description, "content": {"application/json": media}}


def _body(schema: str, example: Any) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": ref(schema), "example": example}}}


def _query(name: str, description: str, **schema: Any) -> dict[str, Any]:
    given = {"type": "string", **schema}
    return {"name": name, "in": "query", "description": description, "schema": given}


def _operation(tag: str, id: str, summary: str, **fields: Any) -> Operation:
    return {"tags": [tag], "operationId": id, "summary": summary, **fields}


def _reading(id: str, summary: str, schema: str, *parameters: dict[str, Any]) -> Operation:
    return _operation(
        "channels",
        id,
        summary,
        parameters=[_CHANNEL, *parameters],
        responses={"200": _json(summary, schema), **_problems(400, 401, 403, 404, 429, 503)},
    )


_PUBLISH = _operation(
    "publish",
    "publish",
    "Publish one event",
    requestBody=_body("Publication", _EXAMPLE),
    responses={
        "200": _json("It is stored, at this position (none on ephemeral channels)", "Published", _PUBLISHED),
        **_problems(400, 401, 403, 404, 409, 413, 429, 503),
    },
)
_BATCH = _operation(
    "publish",
    "batch",
    "Publish up to 1000 events; an error in one leaves the others",
    requestBody=_body("Batch", {"events": [_EXAMPLE]}),
    responses={
        "200": _json("An entry for each event, in order", "Results", {"results": [_PUBLISHED]}),
        **_problems(400, 401, 413, 429, 503),
    },
)
_BROADCAST = _operation(
    "publish",
    "broadcast",
    "Publish one event to up to 1000 channels; an error in one leaves the others",
    requestBody=_body(
        "Broadcast",
        {"channels": ["user:ann", "user:bob"], "event": "notice", "payload": {"text": "Back at nine"}},
    ),
    responses={
        "200": _json("An entry for each channel, in order", "Results"),
        **_problems(400, 401, 413, 429, 503),
    },
)
_TICKETS = _operation(
    "connections",
    "issueTicket",
    "A ticket for the bearer's own identity: one connect, within 30 s; others for streams, for `admin`",
    requestBody={**_body("TicketWish", {"stream": True, "channels": ["job:42"]}), "required": False},
    responses={
        "200": _json("The ticket", "Ticket", {"ticket": "Zb0x…", "expires_in": 30}),
        **_problems(400, 401, 403, 429, 503),
    },
)
_SENT = {
    "description": "Every node was told",
    "content": {"application/json": {"schema": {"type": "object"}, "example": {"sent": True}}},
}
_STREAM_ANSWER = {
    "description": "Events as they come, until the token ends or the node departs",
    "headers": {"X-Accel-Buffering": {"schema": {"type": "string"}}},
    "content": {
        "text/event-stream": {"schema": {"type": "string"}},
        "application/x-ndjson": {"schema": {"type": "string"}},
    },
}
_STREAM_PROBLEMS = _problems(400, 401, 403, 404, 429, 503)
_STREAM = _operation(
    "channels",
    "stream",
    "Listen by server-sent events, or by NDJSON (`Accept: application/x-ndjson`)",
    parameters=[
        {**_query("channel", "a channel, repeatable"), "required": True},
        _query("since", "`channel@epoch:offset`, repeatable"),
        _query("since_time", "for channels without `since`: from the first event not older on"),
        _query("last_event_id", "the `id` of the last block, where `Last-Event-ID` can't be sent"),
        _query("event", "all blocks as `message`", enum=["message"]),
        _query("ticket", "a stream ticket"),
        _query("token", "a JWT, where the header cannot be set"),
    ],
    security=[{}, {"bearer": []}],
    responses={"200": _STREAM_ANSWER, **_STREAM_PROBLEMS},
)
_STREAM_POST = _operation(
    "channels",
    "streamMany",
    "The same, asked for by a body: channels by name, or as the command `subscribe` has them",
    requestBody=_body("Stream", {"channels": ["job:42", "doc:7"], "since": ["job:42@k3f9:12"]}),
    responses={"200": _STREAM_ANSWER, **_STREAM_PROBLEMS, **_problems(413)},
)
_DISCONNECT = _operation(
    "connections",
    "disconnect",
    "Close a user's connections, or one, on every node (services)",
    requestBody=_body("Disconnect", {"user": "ann", "reconnect": False}),
    responses={"200": _SENT, **_problems(400, 401, 403, 413, 429, 503)},
)
_REVOKE = _operation(
    "connections",
    "revoke",
    "Take tokens back; their sockets are closed with 4410 on every node (services)",
    requestBody=_body("Revoke", {"sub": "ann"}),
    responses={
        "200": _json("It is remembered", "Revoked", {"revoked": True, "until": 1767225600000}),
        **_problems(400, 401, 403, 413, 429, 503),
    },
)
_GIVE = _operation(
    "connections",
    "giveSubscription",
    "Subscribe a user's connections, or one, to a channel that their tokens need not grant (services)",
    requestBody=_body("Gift", {"user": "ann", "channel": "job:42"}),
    responses={
        "200": _json("So many connections were told", "Reached", {"connections": 2, "complete": True}),
        **_problems(400, 401, 403, 404, 413, 429, 503),
    },
)
_TAKE = _operation(
    "connections",
    "takeSubscription",
    "End the subscription of a user's connections, or of one (services)",
    requestBody=_body("Gift", {"user": "ann", "channel": "job:42"}),
    responses={
        "200": _json("So many connections were told", "Reached", {"connections": 2, "complete": True}),
        **_problems(400, 401, 403, 413, 429, 503),
    },
)
_EXPLAIN = _operation(
    "connections",
    "explain",
    "Why an event came to somebody, or did not: one sentence, and the steps to it (admin)",
    requestBody=_body("Question", {"user": "bob", "channel": "job:42", "offset": 17}),
    responses={"200": _json("The answer", "Explanation"), **_problems(400, 401, 403, 413, 429, 503)},
)
_TOP = _operation(
    "node",
    "top",
    "What each node is doing just now: totals, health, slow consumers, busiest channels (services)",
    responses={"200": _json("The nodes", "Traffic"), **_problems(401, 403, 429, 503)},
)
_EXPLAIN_TOKEN = _operation(
    "connections",
    "explainToken",
    "Whether a token is good here and now, exactly why, and what it allows",
    requestBody=_body("TokenQuestion", {"token": "eyJhbGciOi…"}),
    responses={
        "200": _json("In words, for the token's holder", "TokenExplanation"),
        **_problems(400, 401, 413, 429, 503),
    },
)
_LETTER_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
}
_LETTER_EXAMPLE = {
    "id": "3f2a",
    "origin": "orders:kafka/3@17",
    "code": "bad_message",
    "reason": "the message has no data.id",
    "tries": 1,
    "body": "e30=",
}
_LETTERS = _operation(
    "dead letters",
    "listDeadLetters",
    "What could not be handed on or delivered, oldest first, without bodies (admin)",
    parameters=[
        _query("from", "the first of the page, from 0", pattern="^[0-9]+$"),
        _query("limit", "how many, 100 by default, 1000 at most", pattern="^[0-9]+$"),
    ],
    responses={"200": _json("A page", "DeadLetters"), **_problems(400, 401, 403, 429, 503)},
)
_PUT_LETTER = _operation(
    "dead letters",
    "putDeadLetter",
    "Keep what can't be handed on; once for each id (services)",
    requestBody=_body("DeadLetter", _LETTER_EXAMPLE),
    responses={
        "200": _json("One of this id is kept already", "Kept"),
        "201": _json("Kept", "Kept", {"id": "3f2a", "kept": True}),
        **_problems(400, 401, 403, 413, 429, 503),
    },
)
_LETTER = _operation(
    "dead letters",
    "getDeadLetter",
    "One of them: whole to admin:write, else its shape without values (admin)",
    parameters=[_LETTER_ID],
    responses={"200": _json("The letter", "DeadLetter"), **_problems(400, 401, 403, 429, 503)},
)
_DROP_LETTER = _operation(
    "dead letters",
    "dropDeadLetter",
    "Let go of one (admin:write)",
    parameters=[_LETTER_ID],
    responses={
        "200": _json("It is gone", "Dropped", {"dropped": "3f2a"}),
        **_problems(400, 401, 403, 429, 503),
    },
)
_REPLAY_LETTER = _operation(
    "dead letters",
    "replayDeadLetter",
    "Publish it, once, behind what came since, and let go of it (admin:write)",
    parameters=[_LETTER_ID],
    responses={
        "200": _json("Published", "Published", {**_PUBLISHED, "replayed": "3f2a", "behind": True}),
        **_problems(400, 401, 403, 404, 409, 413, 429, 503),
    },
)
_CONNECTIONS = _operation(
    "connections",
    "listConnections",
    "Connections with node, channels, positions, outbox and last error (services)",
    parameters=[
        _query("user", "only this user's"),
        _query("connection", "only this one"),
        _query("channel", "only subscribers of this channel"),
        _query("closed", "what is over: ends and refusals of the last 15 minutes", enum=["true"]),
        _query("address", "only from this address"),
        _query("limit", "so many of each node, 1000 at most", pattern="^[0-9]{1,4}$"),
    ],
    responses={"200": _json("Up to 1000 of each node", "Connections"), **_problems(401, 403, 429, 503)},
)
_DRAIN = _operation(
    "node",
    "drain",
    "This node departs: its clients are sent elsewhere, spread out in time (services)",
    responses={
        "202": {
            "description": "It has begun",
            "content": {
                "application/json": {
                    "schema": {"type": "object"},
                    "example": {"draining": True, "node": "n_1f"},
                }
            },
        },
        **_problems(401, 403, 429),
    },
)
_LIVE = _operation(
    "node",
    "live",
    "The process answers: for a container's health check",
    security=[],
    responses={
        "200": {
            "description": "It lives",
            "content": {"application/json": {"schema": {"type": "object"}, "example": {"live": True}}},
        }
    },
)
_READY = _operation(
    "node",
    "ready",
    "Whether this node should get traffic",
    security=[],
    responses={
        "200": _json("It should", "Readiness"),
        "503": _json("It should not, and why", "Readiness"),
    },
)
_METRICS = _operation(
    "node",
    "metrics",
    "Metrics of all workers of this port, in Prometheus' text format",
    security=[{}, {"bearer": []}],
    responses={
        "200": {"description": "The metrics", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **_problems(401, 403, 429),
    },
)
_OPENAPI = _operation(
    "node",
    "openapi",
    "This document",
    security=[],
    responses={
        "200": {
            "description": "OpenAPI 3.1",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
)
_SCRIPTS: dict[str, Operation] = {
    f"/{name}": _operation(
        "node",
        name.replace(".", "_").replace("-", "_"),
        f"The browser client: {what}",
        security=[],
        responses={
            "200": {
                "description": "An ES module",
                "content": {"text/javascript": {"schema": {"type": "string"}}},
            },
            "304": {"description": "It is as it was"},
        },
    )
    for name, what in (
        ("hub.js", "all that a page needs, in one module"),
        ("shared.js", "one socket for the tabs of a page, loaded where that is asked for"),
        ("msgpack.js", "MessagePack in place of JSON"),
        ("stream.js", "an HTTP stream, loaded where no WebSocket can be had"),
        ("channeltoken.js", "tokens for one channel, loaded where a subscription has them"),
        ("job-board.js", "`<hub-job-board>`, a board of jobs"),
    )
}
_CONNECT = _operation(
    "connections",
    "connect",
    "The WebSocket (RFC 6455), subprotocols hub.v1.json and hub.v1.msgpack",
    parameters=[
        _query("token", "a JWT, where the header cannot be set"),
        _query("ticket", "a ticket, good once"),
        _query("resume", "the `resume` value of the last welcome"),
        _query("since", "`channel@epoch:offset`, for each channel of the token"),
    ],
    security=[{}, {"bearer": []}],
    responses={
        "101": {"description": "The connection is a WebSocket now"},
        "426": {
            "description": "The request was no WebSocket handshake",
            "content": {"application/problem+json": {"schema": ref("Problem")}},
        },
        **_problems(400, 401, 403, 429, 503),
    },
)

_HISTORY = _reading(
    "history",
    "Stored events, oldest first: those after `since`, or the newest",
    "History",
    _query("since", "a position", pattern="^[A-Za-z0-9_-]{1,32}:[0-9]{1,16}$", examples=["k3f9:12"]),
    _query(
        "since_time", "in place of `since`: from the first event not older on; ms since 1970, or RFC 3339"
    ),
    _query("limit", "at most so many", type="integer", minimum=1, maximum=MAX_HISTORY, default=100),
    _query(
        "wait",
        "wait so many seconds for the first event after `since`",
        type="integer",
        minimum=0,
        maximum=60,
    ),
)

_DELETE = _operation(
    "channels",
    "deleteChannel",
    "Delete all that is stored of a channel; subscribers are told a gap of cause `deleted` (services)",
    parameters=[_CHANNEL],
    responses={
        "200": _json("It begins anew here", "Erased", {"channel": "user:ann", "epoch": "p4x1", "offset": 0}),
        **_problems(400, 401, 403, 404, 429, 503),
    },
)
_DELETE_KEY = _operation(
    "channels",
    "deleteKey",
    "Delete a key and every stored event of it; subscribers get a final event `key_deleted` (services)",
    parameters=[
        _CHANNEL,
        {"name": "key", "in": "path", "required": True, "schema": {"type": "string", "maxLength": 128}},
    ],
    responses={
        "200": _json(
            "Whether there was such a key, and where the event stands",
            "Erased",
            {"channel": "job:42", "key": "42", "deleted": True, "epoch": "k3f9", "offset": 18},
        ),
        **_problems(400, 401, 403, 404, 429, 503),
    },
)

PATHS: dict[str, dict[str, Operation]] = {
    "/v1/publish": {"post": _PUBLISH},
    "/v1/batch": {"post": _BATCH},
    "/v1/broadcast": {"post": _BROADCAST},
    "/v1/channels/{channel}": {
        "get": _reading("channel", "The channel's position: a page's cursor, for `since`", "Channel"),
        "delete": _DELETE,
    },
    "/v1/channels/{channel}/history": {"get": _HISTORY},
    "/v1/channels/{channel}/snapshot": {
        "get": _reading("snapshot", "The latest event of each key (`state` channels)", "Snapshot")
    },
    "/v1/channels/{channel}/snapshot/{key}": {"delete": _DELETE_KEY},
    "/v1/channels/{channel}/presence": {
        "get": _reading(
            "presence",
            "Who is present",
            "Presence",
            _query("group", "one entry a user", enum=["user"]),
            _query("count", "how many only", enum=["true", "false"]),
        )
    },
    "/v1/stream": {"get": _STREAM, "post": _STREAM_POST},
    "/v1/tickets": {"post": _TICKETS},
    "/v1/disconnect": {"post": _DISCONNECT},
    "/v1/subscribe": {"post": _GIVE},
    "/v1/unsubscribe": {"post": _TAKE},
    "/v1/revoke": {"post": _REVOKE},
    "/v1/connections": {"get": _CONNECTIONS},
    "/v1/top": {"get": _TOP},
    "/v1/explain": {"post": _EXPLAIN},
    "/v1/tokens/explain": {"post": _EXPLAIN_TOKEN},
    "/v1/drain": {"post": _DRAIN},
    "/v1/deadletters": {"get": _LETTERS, "post": _PUT_LETTER},
    "/v1/deadletters/{id}": {"get": _LETTER, "delete": _DROP_LETTER},
    "/v1/deadletters/{id}/replay": {"post": _REPLAY_LETTER},
    "/livez": {"get": _LIVE},
    "/readyz": {"get": _READY},
    "/metrics": {"get": _METRICS},
    "/openapi.json": {"get": _OPENAPI},
    **{path: {"get": operation} for path, operation in _SCRIPTS.items()},
}
SOCKET: dict[str, Operation] = {"get": _CONNECT}

"""The schemas of the OpenAPI document: what requests and answers are made of."""

from typing import Any

from ..protocol.codes import ErrorCode, Outcome
from ..protocol.commands import MAX_HISTORY
from ..protocol.fields import MAX_NAME
from ..protocol.position import MAX_OFFSET
from ..protocol.publications import EVENT_ID_TTL_MS, LEASE_MS, MAX_SOURCE, META_ENTRIES, META_NAME
from .publish import MAX_BATCH, MAX_REPLICAS

Schema = dict[str, Any]


def ref(name: str) -> Schema:
    """A schema of this module by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(required: str, **properties: Schema) -> Schema:
    """An object; `required` names the fields that are always there, separated by spaces."""
    return {"type": "object", "required": required.split(), "properties": properties}


def array(items: Schema, **limits: int) -> Schema:
    """A list."""
    return {"type": "array", "items": items, **limits}


def text(description: str, **more: Any) -> Schema:
    """A string."""
    return {"type": "string", "description": description, **more}


def whole(description: str, **more: Any) -> Schema:
    """An integer from 0."""
    return {"type": "integer", "minimum": 0, "description": description, **more}


def optional(schema: Schema) -> Schema:
    """What may also be null, which says the same as leaving it out."""
    return {"anyOf": [schema, {"type": "null"}]}


def flag(description: str) -> Schema:
    """A boolean."""
    return {"type": "boolean", "description": description}


_NAME = {"minLength": 1, "maxLength": MAX_NAME}
_NUMBER = {"type": "integer", "minimum": 0, "maximum": MAX_OFFSET}

CHANNEL = text(
    "`namespace:rest`",
    pattern=r"""^[a-z][a-z0-9_-]{0,31}:[!"$&'()+,.0-9:;<=>@A-Z\[\]^_`a-z|~-]{1,200}$""",
    examples=["job:42"],
)
EPOCH = text("the numbering's identity", pattern="^[A-Za-z0-9_-]{1,32}$", examples=["k3f9"])
OFFSET = whole("the event's number in the channel, from 1 without holes", maximum=MAX_OFFSET, examples=[17])
EVENT_TYPE = text(
    "the application's type of event; those beginning with `hub.` and `lease_expired` are the hub's own",
    **_NAME,
    examples=["job_status"],
)
PAYLOAD: Schema = {
    "description": "any JSON, null too, within `message_bytes`",
    "examples": [{"state": "running", "progress": 40}],
}
EVENT_ID = text(
    "the publisher's name for this publication: repeated within 5 minutes, it is stored once", **_NAME
)
KEY = text("what the event is about within its channel", **_NAME, examples=["42"])
FINAL = flag("the last event of its key: never merged away")
VERSION: Schema = {
    "description": "the publisher's own order within the key: n means [0, n]; `state` channels only",
    "oneOf": [_NUMBER, array(_NUMBER, minItems=2, maxItems=2)],
    "examples": [7, [1, 7]],
}
LEASE: Schema = {
    "type": "integer",
    "minimum": LEASE_MS.start,
    "maximum": LEASE_MS.stop - 1,
    "description": "unless the key is published again in so many milliseconds, the hub publishes "
    "`lease_expired` (services; `state` channels)",
}
EVENT_ID_TTL: Schema = {
    "type": "integer",
    "minimum": EVENT_ID_TTL_MS.start,
    "maximum": EVENT_ID_TTL_MS.stop - 1,
    "description": "for so many milliseconds the `event_id` is remembered, 5 minutes by default (services)",
}
META: Schema = {
    "type": "object",
    "description": "what travels with the event beside its payload, as `traceparent`: at most 1 KiB of JSON",
    "maxProperties": META_ENTRIES,
    "propertyNames": {"pattern": f"^{META_NAME}$"},
    "additionalProperties": {"type": "string"},
    "examples": [{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}],
}
SOURCE: Schema = {
    **record(
        "name position",
        name=text("the source, as the bridge calls it", minLength=1, maxLength=MAX_SOURCE),
        position={
            "description": "n means [0, n]",
            "oneOf": [_NUMBER, array(_NUMBER, minItems=2, maxItems=2)],
        },
    ),
    "description": "all of this source for this channel up to here has been handed on: a position that is not "
    "above the highest is a repetition, and nothing is stored (services; stored modes)",
    "examples": [{"name": "orders:kafka/3", "position": 17}],
}
WARNINGS = array(text("a field that the hub does not know", examples=['unknown field "kye"']))
RETRY_AFTER = whole("milliseconds to wait before trying again")

_PUBLICATION = record(
    "channel event payload",
    channel=CHANNEL,
    event=EVENT_TYPE,
    payload=PAYLOAD,
    key=optional(KEY),
    final=FINAL,
    version=optional(VERSION),
    event_id=optional(EVENT_ID),
    event_id_ttl_ms=optional(EVENT_ID_TTL),
    lease_ms=optional(LEASE),
    meta=optional(META),
    source=optional(SOURCE),
)
_BROADCAST = record(
    "channels event payload",
    channels=array(CHANNEL, minItems=1, maxItems=MAX_BATCH),
    event=EVENT_TYPE,
    payload=PAYLOAD,
    key=optional(KEY),
    final=FINAL,
    event_id=optional(EVENT_ID),
    event_id_ttl_ms=optional(EVENT_ID_TTL),
    meta=optional(META),
    source=optional(SOURCE),
)
_PUBLISHED = record(
    "channel event_id",
    channel=CHANNEL,
    epoch=EPOCH,
    offset=OFFSET,
    event_id=EVENT_ID,
    stale=flag("the version was not newer than the key's: nothing was stored, this is the current position"),
    duplicate=flag("the source handed it on before: nothing was stored, this is the channel's last position"),
    warnings=WARNINGS,
)
_FAILED = record(
    "code reason retry outcome",
    code={"type": "string", "enum": [code.value for code in ErrorCode]},
    reason=text("exactly what is wrong"),
    retry=flag("whether the same may succeed later, unchanged"),
    outcome={
        "type": "string",
        "enum": [outcome.value for outcome in Outcome],
        "description": "not_done: nothing took effect; unknown: it may have, repeat it with the same event_id",
    },
    channel=text("the channel that was meant"),
    retry_after_ms=RETRY_AFTER,
)
_PROBLEM = {
    **record(
        "title status detail " + " ".join(_FAILED["required"]),
        title=text("the HTTP status in words"),
        status={"type": "integer", "minimum": 400, "maximum": 599},
        detail=text("the same as reason"),
        **_FAILED["properties"],
    ),
    "description": "Problem details, RFC 9457",
    "examples": [
        {
            "title": "Forbidden",
            "status": 403,
            "detail": "no grant of this token allows publish on doc:7",
            "code": "forbidden",
            "reason": "no grant of this token allows publish on doc:7",
            "retry": False,
            "outcome": "not_done",
        }
    ],
}
_EVENT = record(
    "type channel id time payload",
    type=EVENT_TYPE,
    channel=CHANNEL,
    offset=OFFSET,
    id=EVENT_ID,
    time=whole("milliseconds since the Unix epoch, by the hub"),
    key=KEY,
    final=FINAL,
    version=VERSION,
    **{"from": text("the publishing user; absent where a service published")},
    meta=META,
    payload=PAYLOAD,
)
_GAP = record(
    "from to cause",
    **{"from": whole("the first missing offset")},
    to=whole("the last missing offset"),
    cause={"type": "string", "enum": ["trimmed", "epoch", "deleted"]},
)
_HISTORY = record(
    "channel events epoch offset more",
    channel=CHANNEL,
    events=array(ref("Event"), maxItems=MAX_HISTORY),
    epoch=EPOCH,
    offset=whole("the channel's last offset"),
    more=flag("events follow after the last of these: page on from it"),
    gap=ref("Gap"),
)
_SNAPSHOT = record(
    "channel events epoch offset more",
    channel=CHANNEL,
    events=array(ref("Event")),
    epoch=EPOCH,
    offset=whole("the offset at which the snapshot is complete"),
    more=flag("always false: it is whole"),
)
_CHANNEL_STATE = record(
    "channel mode subscribers",
    channel=CHANNEL,
    mode={"type": "string", "enum": ["log", "state", "ephemeral"]},
    epoch=EPOCH,
    offset=whole("the channel's last offset: with the epoch a position for `since`"),
    subscribers=whole("subscriptions on all nodes"),
    unread=whole("of the bearer's inbox"),
)
_MEMBER = record(
    "user",
    user=text("the `sub`"),
    connection=text("the member's connection, where it did not name itself"),
    info={"description": "`info` of the token"},
    state={"description": "what the member set"},
    members=whole("how many members are this user's (`group=user`)"),
    **{"as": text("what the member called itself")},
)
_PRESENCE = record(
    "channel members",
    channel=CHANNEL,
    members={"anyOf": [array(ref("Member")), whole("how many there are")]},
    users=whole("how many users they are"),
)
_TICKET = record(
    "ticket expires_in",
    ticket=text("for `?ticket=` of one connect"),
    expires_in=whole("seconds", maximum=30),
)
_CONNECTION = record(
    "connection node user channels outbox last_error",
    connection=text("its id"),
    node=text("the node that holds it"),
    user={"type": ["string", "null"]},
    address=text("where it comes from; of a trusted proxy, what it forwarded"),
    encoding={"type": "string", "enum": ["json", "msgpack"]},
    age_s={"type": "number"},
    silent_s={"type": "number", "description": "seconds since anything was heard of it"},
    outbox={"type": "object", "description": "what waits for the client to read"},
    channels={"type": "object", "description": "positions by channel"},
    last_error={"type": ["string", "null"]},
)
_READINESS = record(
    "ready reasons node shards",
    ready=flag("the same as the status"),
    reasons=array(text("why not")),
    node=text("the node that answered"),
    shards=array(
        record(
            "name usable deaf_s rtt_ms",
            name=text("the shard of the broker"),
            usable=flag("it answers commands"),
            deaf_s={"type": "number", "description": "seconds since its canary was heard; 0 while in time"},
            rtt_ms={"type": "number"},
        )
    ),
    tls=record(
        "names expires_in_s problems",
        names=array(text("a name that the certificate is for, with its kind")),
        expires_in_s=whole("seconds until the certificate ends; less than 0 behind it"),
        problems=array(text("what is wrong with the files, or soon will be; the node is ready all the same")),
    ),
)

SCHEMAS: dict[str, Schema] = {
    "Publication": _PUBLICATION,
    "Batch": record(
        "events",
        events=array(ref("Publication"), minItems=1, maxItems=MAX_BATCH),
        ordered=flag(
            "what is stored for a channel is a prefix of its entries that were not refused for good"
        ),
        replicas=whole(
            "of services: what so many replicas of the storage do not have in time is `unavailable`, though stored",
            maximum=MAX_REPLICAS,
        ),
    ),
    "Broadcast": _BROADCAST,
    "Published": _PUBLISHED,
    "Failed": _FAILED,
    "Results": record(
        "results",
        results=array({"anyOf": [ref("Published"), ref("Failed")]}),
        replicas=whole("as asked for"),
        warnings=WARNINGS,
    ),
    "Problem": _PROBLEM,
    "Event": _EVENT,
    "Gap": _GAP,
    "History": _HISTORY,
    "Snapshot": _SNAPSHOT,
    "Channel": _CHANNEL_STATE,
    "Erased": record(
        "channel",
        channel=CHANNEL,
        key=KEY,
        deleted=flag("whether the key was there"),
        epoch=EPOCH,
        offset=whole("where the channel stands; of a key, where the event that says so stands"),
    ),
    "Member": _MEMBER,
    "Presence": _PRESENCE,
    "Ticket": _TICKET,
    "Disconnect": record(
        "",
        user=optional(text("all connections of this user", minLength=1)),
        connection=optional(text("this connection; give either it or the user", minLength=1)),
        reconnect=flag("close with 4103: the client comes back; else 4411, and it does not"),
    ),
    "TicketWish": record(
        "",
        stream=flag("a ticket for `/v1/stream`"),
        admin=flag("a ticket that speaks for who has `admin`, on every route and socket, for 8 h at most"),
        channels=array(CHANNEL, minItems=1, maxItems=128),
    ),
    "Stream": record(
        "channels",
        channels=array({"anyOf": [CHANNEL, {"type": "object", "required": ["channel"]}]}, minItems=1),
        since=optional({"anyOf": [array(text("`channel@epoch:offset`")), {"type": "object"}]}),
        since_time={"description": "for channels without `since`: ms since 1970, or RFC 3339"},
        last_event_id=optional(text("the `id` of the last block")),
        event=optional(text("all blocks as `message`", enum=["message"])),
    ),
    "Gift": record(
        "channel",
        user=optional(text("all connections of this user", minLength=1)),
        connection=optional(text("this connection; give either it or the user", minLength=1)),
        channel=CHANNEL,
        since=optional(text("subscribe from this position on", examples=["k3f9:12"])),
    ),
    "Reached": record(
        "connections complete",
        connections=whole("so many connections were there, on the nodes that answered"),
        complete=flag("every node answered in time"),
    ),
    "Revoke": record(
        "",
        sub=optional(text("all tokens of this user issued up to now", minLength=1, maxLength=256)),
        jti=optional(text("this token; give either it or the sub", minLength=1, maxLength=256)),
    ),
    "Revoked": record(
        "revoked until", revoked=flag("true"), until=whole("remembered up to then; Unix milliseconds")
    ),
    "Question": record(
        "channel",
        user=optional(text("who did not get it", minLength=1, maxLength=256)),
        connection=optional(text("or by which connection", minLength=1, maxLength=256)),
        channel=CHANNEL,
        offset=optional(whole("which event; without it and event_id, the channel's last")),
        event_id=optional(text("or by its id", minLength=1, maxLength=128)),
    ),
    "Explanation": record(
        "cause answer steps complete nodes",
        cause=text("a word for programs", examples=["slow", "merged", "token_expired", "never_published"]),
        answer=text("one sentence"),
        steps=array(text("what was found on the way")),
        complete=flag("every node answered in time"),
        nodes=array(text("a node that answered")),
    ),
    "Traffic": record(
        "nodes complete",
        nodes=array(ref("NodeTraffic")),
        complete=flag("every node answered in time"),
    ),
    "NodeTraffic": record(
        "node version started time connections channels totals shards slow busiest",
        node=text("its id"),
        worker=whole("its place at a port that several processes share"),
        version=text("of the hub", examples=["0.2.0"]),
        started=whole("Unix milliseconds"),
        time=whole("when it looked; Unix milliseconds"),
        draining=flag("it departs"),
        reasons=array(text("why /readyz is red")),
        connections=whole("admitted connections"),
        sockets=whole("those without a token yet included"),
        channels=whole("channels that it listens to"),
        loop_lag_s={"type": "number", "description": "how late its event loop came to a timer"},
        totals={
            "type": "object",
            "description": "counts since its start: published, delivered, opened, refused, gaps, …",
            "additionalProperties": {"type": "integer"},
        },
        shards=array({"type": "object"}),
        slow=array({"type": "object", "description": "a connection that does not read fast enough"}),
        busiest=array({"type": "object", "description": "a stored channel with many events a second"}),
    ),
    "TokenQuestion": record("token", token=text("a JWT", minLength=1)),
    "TokenExplanation": record(
        "valid lines",
        valid=flag("it is good here and now"),
        lines=array(text("the first says whether, the others why and what it allows")),
    ),
    "DeadLetter": record(
        "id origin code reason",
        id=text("its own, made by who writes it", pattern="^[A-Za-z0-9_-]{1,64}$"),
        origin=text("where it came from", maxLength=500, examples=["orders:kafka/3@17"]),
        code=text("why, as a word of the errors' table", maxLength=500),
        reason=text("why, for people", maxLength=500),
        tries=whole("how often it was tried"),
        time=whole("when it was kept; Unix milliseconds"),
        body=text("its bytes as they came, in base64"),
        event={"type": "object", "description": "the publication that a replay makes, where it came so far"},
        shape={"description": "what the body is like, without values: to who may not see it whole"},
    ),
    "DeadLetters": record(
        "letters next count",
        letters=array(ref("DeadLetter")),
        next=whole("`from` of the next page"),
        count=whole("so many there are"),
    ),
    "Kept": record("id kept", id=text("the letter's"), kept=flag("false: one of this id is kept already")),
    "Dropped": record("dropped", dropped=text("the letter's id")),
    "Connection": _CONNECTION,
    "Connections": {
        "anyOf": [
            record(
                "connections complete",
                connections=array(ref("Connection")),
                complete=flag("every node answered in time, and none had more than it may tell"),
            ),
            record(
                "past complete",
                past=array({"type": "object", "description": "with `closed`: an end or a refusal"}),
                complete=flag("every node answered in time"),
            ),
        ]
    },
    "Readiness": _READINESS,
}

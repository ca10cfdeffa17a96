"""What a client may ask for: every field, also of every wrong kind."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.protocol.codes import ErrorCode
from hub.protocol.commands import (
    MAX_ENTRIES,
    Ack,
    Authenticate,
    Command,
    ListPresence,
    Ping,
    ReadHistory,
    SetPresence,
    Subscribe,
    SubscribeMany,
    Unsubscribe,
    parse,
)
from hub.protocol.errors import HubError
from hub.protocol.event import Version
from hub.protocol.fields import MAX_NAME
from hub.protocol.position import Position
from hub.protocol.publications import Publish

POSITION = {"epoch": "k3f9", "offset": 12}

COMPLETE: list[tuple[dict[str, Any], Command]] = [
    (
        {"type": "authenticate", "id": "a", "token": "t", "resume": "r", "since": {"user:ann": POSITION}},
        Authenticate("a", "t", "r", {"user:ann": Position("k3f9", 12)}),
    ),
    (
        {"type": "authenticate", "token": "t", "since": ["user:a@b@k3f9:12"]},
        Authenticate(None, "t", None, {"user:a@b": Position("k3f9", 12)}),
    ),
    (
        {
            "type": "subscribe",
            "id": 1,
            "channel": "doc:7",
            "since": POSITION,
            "presence": True,
            "max_rate": 5,
            "echo": False,
        },
        Subscribe(1, "doc:7", Position("k3f9", 12), "", 5.0, False),
    ),
    (
        {"type": "subscribe", "channel": "doc:7", "since": "k3f9:12", "presence": {"as": "tab 1"}},
        Subscribe(None, "doc:7", Position("k3f9", 12), "tab 1"),
    ),
    (
        {
            "type": "subscribe",
            "id": 2,
            "channels": [{"channel": "doc:7"}, {"channel": "job:1", "echo": False}],
        },
        SubscribeMany(2, (Subscribe(2, "doc:7"), Subscribe(2, "job:1", echo=False))),
    ),
    ({"type": "unsubscribe", "id": 3, "channel": "doc:7"}, Unsubscribe(3, "doc:7")),
    (
        {
            "type": "publish",
            "id": 4,
            "channel": "job:1",
            "event": "state",
            "payload": {"a": [1, None]},
            "key": "1",
            "final": True,
            "version": [2, 7],
            "event_id": "e",
            "lease_ms": 1000,
        },
        Publish(4, "job:1", "state", b'{"a":[1,null]}', "1", True, Version(2, 7), "e", 1000),
    ),
    (
        {"type": "publish", "channel": "job:1", "event": "x", "payload": None, "version": 3},
        Publish(None, "job:1", "x", b"null", version=Version(0, 3)),
    ),
    ({"type": "presence", "id": 5, "channel": "doc:7", "group": "user"}, ListPresence(5, "doc:7", True)),
    ({"type": "set_presence", "id": 6, "channel": "doc:7", "state": [1]}, SetPresence(6, "doc:7", b"[1]")),
    (
        {"type": "history", "id": 7, "channel": "doc:7", "since": POSITION, "limit": 1000},
        ReadHistory(7, "doc:7", Position("k3f9", 12), 1000),
    ),
    ({"type": "history", "channel": "doc:7"}, ReadHistory(None, "doc:7")),
    (
        {"type": "ack", "id": 8, "channel": "user:ann", "epoch": "k3f9", "offset": 0},
        Ack(8, "user:ann", Position("k3f9", 0)),
    ),
    ({"type": "ping", "id": "x" * MAX_NAME}, Ping("x" * MAX_NAME)),
]


@pytest.mark.parametrize(("message", "command"), COMPLETE)
def test_every_command(message: dict[str, Any], command: Command) -> None:
    assert parse(message) == command


@pytest.mark.parametrize(("message", "command"), COMPLETE)
def test_unknown_fields_are_left_alone(message: dict[str, Any], command: Command) -> None:
    assert parse({**message, "later": {"version": 2}}) == command


# One of each kind of JSON, odd ones too; per field, which of them are right.
VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "false": False,
    "zero": 0,
    "one": 1,
    "negative": -1,
    "huge": 2**60,
    "half": 0.5,
    "nan": float("nan"),
    "empty": "",
    "text": "text",
    "channel": "doc:7",
    "position": "k3f9:12",
    "control": "a\x07b",
    "long": "x" * 300,
    "list": [],
    "numbers": [1, 2],
    "bools": [True, False],
    "object": {},
}

RIGHT: list[tuple[str, str, set[str]]] = [
    ("ping", "type", set()),
    ("ping", "id", {"null", "zero", "one", "negative", "empty", "text", "channel", "position", "control"}),
    ("authenticate", "token", {"text", "channel", "position", "control", "long"}),
    ("authenticate", "resume", {"null", "empty", "text", "channel", "position", "control", "long"}),
    ("authenticate", "since", {"null", "list", "object"}),
    ("subscribe", "channel", {"channel", "position"}),
    ("subscribe", "since", {"null", "position", "channel"}),
    ("subscribe", "presence", {"null", "true", "false"}),
    ("subscribe", "max_rate", {"null", "one", "half"}),
    ("subscribe", "echo", {"true", "false"}),
    ("subscribe", "channels", {"numbers", "bools"}),  # the reply says of each what is wrong
    ("unsubscribe", "channel", {"channel", "position"}),
    ("publish", "channel", {"channel", "position"}),
    ("publish", "event", {"text", "channel", "position"}),
    ("publish", "payload", set(VALUES)),  # NaN becomes null on the way in: no JSON or MessagePack holds it
    ("publish", "key", {"null", "text", "channel", "position"}),
    ("publish", "final", {"true", "false"}),
    ("publish", "version", {"null", "zero", "one", "numbers"}),
    ("publish", "event_id", {"null", "text", "channel", "position"}),
    ("publish", "lease_ms", {"null"}),
    ("presence", "channel", {"channel", "position"}),
    ("presence", "group", {"null"}),
    ("set_presence", "channel", {"channel", "position"}),
    ("set_presence", "state", set(VALUES)),
    ("history", "channel", {"channel", "position"}),
    ("history", "since", {"null", "position", "channel"}),
    ("history", "limit", {"one"}),
    ("ack", "channel", {"channel", "position"}),
    ("ack", "epoch", {"text"}),
    ("ack", "offset", {"zero", "one"}),
]

LEAST: dict[str, dict[str, Any]] = {
    "ping": {},
    "authenticate": {"token": "t"},
    "subscribe": {"channel": "doc:7"},
    "unsubscribe": {"channel": "doc:7"},
    "publish": {"channel": "doc:7", "event": "e", "payload": 1},
    "presence": {"channel": "doc:7"},
    "set_presence": {"channel": "doc:7", "state": 1},
    "history": {"channel": "doc:7"},
    "ack": {"channel": "doc:7", "epoch": "e", "offset": 1},
}

REFUSED = {ErrorCode.BAD_MESSAGE, ErrorCode.BAD_CHANNEL, ErrorCode.UNKNOWN_TYPE}


@pytest.mark.parametrize(
    ("type", "field", "kind", "right"),
    [(type, field, kind, kind in right) for type, field, right in RIGHT for kind in VALUES],
)
def test_every_field_of_every_kind(type: str, field: str, kind: str, right: bool) -> None:
    message = {"type": type, **LEAST[type], field: VALUES[kind]}
    if field == "channels":
        del message["channel"]
    if right:
        parse(message)
        return
    with pytest.raises(HubError) as refused:
        parse(message)
    assert refused.value.code in REFUSED
    assert refused.value.reason


@pytest.mark.parametrize(
    ("type", "field"), [(type, field) for type, fields in LEAST.items() for field in fields]
)
def test_what_is_needed_is_asked_for(type: str, field: str) -> None:
    message = {"type": type, **LEAST[type]}
    del message[field]
    with pytest.raises(HubError, match=f"{field} "):
        parse(message)


@pytest.mark.parametrize(
    "since",
    [
        {"epoch": "k3f9"},
        {"offset": 1},
        {"epoch": "k 3", "offset": 1},
        {"epoch": "k3f9", "offset": -1},
        {"epoch": "k3f9", "offset": 2**53},
        {"epoch": "k3f9", "offset": True},
        {"epoch": "k3f9", "offset": 1.0},
        "k3f9",
        "k3f9:",
        "k3f9:-1",
        "k3f9:1e3",
        "k3f9:٣",
        "k3f9:99999999999999999",
        ":1",
        "x" * 33 + ":1",
    ],
)
def test_positions_that_are_none(since: Any) -> None:
    with pytest.raises(HubError) as refused:
        parse({"type": "subscribe", "channel": "doc:7", "since": since})
    assert refused.value.code is ErrorCode.BAD_MESSAGE
    assert refused.value.channel == "doc:7"


@pytest.mark.parametrize(
    "fields",
    [
        {"presence": {"as": ""}},
        {"presence": {"as": 1}},
        {"presence": {"as": "a\nb"}},
        {"presence": {"as": "x" * 129}},
        {"presence": {}},
        {"max_rate": 0},
        {"max_rate": 0.009},
        {"max_rate": 101},
        {"max_rate": "5"},
    ],
)
def test_subscriptions_that_are_none(fields: dict[str, Any]) -> None:
    with pytest.raises(HubError):
        parse({"type": "subscribe", "channel": "doc:7", **fields})


@pytest.mark.parametrize(
    "version", [[1], [1, 2, 3], [1, -1], [-1, 1], [1, 2**53], ["1", 2], -1, 2**53, "1", 1.5]
)
def test_versions_that_are_none(version: Any) -> None:
    with pytest.raises(HubError):
        parse({"type": "publish", "channel": "job:7", "event": "e", "payload": 1, "version": version})


@pytest.mark.parametrize("lease", [999, 3_600_001, 1000.5, "1000", True])
def test_leases_that_are_none(lease: Any) -> None:
    with pytest.raises(HubError):
        parse({"type": "publish", "channel": "job:7", "event": "e", "payload": 1, "lease_ms": lease})


@pytest.mark.parametrize("event", ["hub.", "hub.gap", "hub.anything"])
def test_the_hubs_own_types_are_not_an_applications(event: str) -> None:
    with pytest.raises(HubError, match=r"hub\."):
        parse({"type": "publish", "channel": "job:7", "event": event, "payload": 1})


def test_an_entry_that_is_wrong_leaves_the_others() -> None:
    command = parse(
        {"type": "subscribe", "id": 1, "channels": [{"channel": "no"}, {"channel": "doc:7"}, 5, {}]}
    )
    assert isinstance(command, SubscribeMany)
    bad, good, number, empty = command.entries
    assert isinstance(bad, HubError)
    assert (bad.code, bad.channel) == (ErrorCode.BAD_CHANNEL, "no")
    assert good == Subscribe(1, "doc:7")
    assert isinstance(number, HubError)
    assert isinstance(empty, HubError)


def test_one_command_has_a_limit_of_subscriptions() -> None:
    entries = [{"channel": f"doc:{n}"} for n in range(MAX_ENTRIES + 1)]
    with pytest.raises(HubError, match="1001 entries"):
        parse({"type": "subscribe", "channels": entries})
    parse({"type": "subscribe", "channels": entries[:-1]})


def test_channel_and_channels_exclude_each_other() -> None:
    with pytest.raises(HubError, match="either"):
        parse({"type": "subscribe", "channel": "doc:7", "channels": [{"channel": "doc:7"}]})


def test_a_state_of_presence_has_a_limit() -> None:
    parse({"type": "set_presence", "channel": "doc:7", "state": "x" * 4094})
    with pytest.raises(HubError) as refused:
        parse({"type": "set_presence", "channel": "doc:7", "state": "x" * 4095})
    assert refused.value.code is ErrorCode.TOO_LARGE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        *("channel", "channels", "since", "presence", "max_rate", "echo", "event", "payload", "key", "final"),
        *(
            "version",
            "event_id",
            "lease_ms",
            "group",
            "state",
            "limit",
            "epoch",
            "offset",
            "token",
            "resume",
            "id",
        ),
    ]
)


@given(
    st.sampled_from([*LEAST, "nothing"]),
    st.dictionaries(FIELDS, JSON | st.sampled_from(list(VALUES.values())), max_size=6),
)
def test_any_object_is_a_command_or_is_refused(type: str, fields: dict[str, Any]) -> None:
    message = {"type": type, **LEAST.get(type, {}), **fields}
    try:
        command = parse(message)
    except HubError as error:
        assert error.code in {*REFUSED, ErrorCode.TOO_LARGE}  # noqa: PT017
    else:
        assert command.id is None or isinstance(command.id, str | int)

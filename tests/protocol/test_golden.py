"""Golden frames, which the JavaScript client reads too: both encodings say the same, and the hub reads and
writes them."""

import json
import re
from pathlib import Path
from typing import Any

import msgpack
import pytest

from hub.broker.base import untried
from hub.protocol import replies
from hub.protocol.codec import decode, encode
from hub.protocol.codes import CloseCode, ErrorCode, Outcome
from hub.protocol.commands import parse
from hub.protocol.errors import HubError
from hub.protocol.frames import Encoding, bodies
from hub.protocol.position import Position
from hub.protocol.recovery import Cause, Gap
from hub.protocol.replies import Subscribed

FOLDER = Path(__file__).parents[1] / "golden"


def golden(name: str) -> list[Any]:
    cases: list[dict[str, Any]] = json.loads((FOLDER / f"{name}.json").read_text())
    assert cases
    return [pytest.param(case, id=case["name"]) for case in cases]


@pytest.mark.parametrize("case", [*golden("commands"), *golden("messages")])
def test_both_encodings_say_the_same(case: dict[str, Any]) -> None:
    packed = bytes.fromhex(case["msgpack_hex"])
    message = json.loads(case["json"])
    assert msgpack.unpackb(packed) == message
    assert decode(case["json"].encode(), Encoding.JSON) == message
    assert decode(packed, Encoding.MSGPACK) == message


@pytest.mark.parametrize("case", golden("commands"))
def test_the_hub_understands_every_command(case: dict[str, Any]) -> None:
    assert parse(json.loads(case["json"])).id == json.loads(case["json"]).get("id")


@pytest.mark.parametrize("case", golden("messages"))
def test_the_hub_writes_these_very_bytes(case: dict[str, Any]) -> None:
    message = json.loads(case["json"])
    assert list(bodies(encode(message, Encoding.JSON))) == [case["json"].encode()]
    assert list(bodies(encode(message, Encoding.MSGPACK))) == [bytes.fromhex(case["msgpack_hex"])]


EVENT = json.loads(
    '{"type":"job_status","channel":"job:42","offset":17,"id":"e_01J","time":1763690000123,"key":"42",'
    '"payload":{"state":"running","progress":40}}'
)
AT = Position("k3f9", 17)
DENIED = HubError(ErrorCode.FORBIDDEN, "no grant of this token allows subscribe on job:42", channel="job:42")
BOB = {"user": "bob", "connection": "c_2"}
REPLIES = {
    "welcome": replies.welcome(
        connection="c_9f",
        node="n_1a",
        user="ann",
        expires_at=1767225600000,
        heartbeat_ms=25000,
        reconnect=(500, 20000),
        resume="<opaque>",
        message_bytes=65536,
        frame_bytes=524288,
        channels=128,
    ),
    "authenticated": replies.authenticated("ann", 1767229200000),
    "renewed": replies.renewed("job:42", 1767229200000),
    "subscribed": replies.subscribed(Subscribed("job:42", AT)),
    "subscribed: of the token": replies.subscribed(Subscribed("user:ann", AT, unread=3)),
    "subscribed: recovered": replies.subscribed(Subscribed("job:42", AT, missed=5)),
    "subscribed: gap and snapshot": replies.subscribed(
        Subscribed("job:42", AT, gap=Gap(13, 17, Cause.TRIMMED), snapshot=[EVENT])
    ),
    "subscribed: the snapshot follows": replies.subscribed(Subscribed("job:42", AT, more=True)),
    "subscribed: ephemeral, with members": replies.subscribed(
        Subscribed(
            "cursor:7", members=[{"user": "bob", "as": "tab-1", "info": {"name": "Bob"}, "state": None}]
        )
    ),
    "subscribed: many": replies.subscribed_many([Subscribed("doc:7", Position("a", 0)), DENIED]),
    "unsubscribed": replies.unsubscribed("job:42"),
    "unsubscribed: a right ended, with its code": replies.unsubscribed(
        "job:42", ErrorCode.FORBIDDEN, "no grant of the new token allows subscribe on job:42"
    ),
    "unsubscribed: the token of a channel ended": replies.unsubscribed(
        "job:42", ErrorCode.TOKEN_EXPIRED, "the token of job:42 has expired"
    ),
    "published": replies.published(replies.published_fields("doc:7", Position("k3f9", 18), "e_mine")),
    "published: stale": replies.published(replies.published_fields("job:42", AT, "e_2", stale=True)),
    "published: duplicate, and warnings": replies.published(
        replies.published_fields(
            "order:7", Position("k3f9", 4), "e-7", duplicate=True, warnings=['unknown field "kye"']
        )
    ),
    "published: results": replies.published_many(
        [replies.published_fields("doc:7", Position("k3f9", 1), "e_01J"), untried("job:42").fields()]
    ),
    "presence": replies.presence("doc:7", []),
    "presence: by numbers": replies.presence_count("doc:7", 12, 9),
    "presence_set": replies.presence_set("doc:7", {"selection": [1, 2]}),
    "history": replies.history("job:42", replies.history_fields([EVENT], AT, more=False)),
    "history: a gap before it": replies.history(
        "job:42",
        replies.history_fields([], Position("m2", 3), more=False, gap=Gap(1, 3, Cause.EPOCH)),
    ),
    "acked": replies.acked("user:ann", AT, 0),
    "result": replies.result({"name": "Plan B"}),
    "pong": replies.pong(1763690000123),
    "help": replies.help(["sub job:42", "ping"]),
    "error": replies.error(DENIED),
    "error: not now": replies.error(
        HubError(ErrorCode.RATE_LIMITED, "20 a second are allowed", channel="doc:7", retry_after_ms=150)
    ),
    "error: done or not": replies.error(
        HubError(
            ErrorCode.UNAVAILABLE,
            "the connection to the storage broke",
            channel="doc:7",
            retry_after_ms=500,
            outcome=Outcome.UNKNOWN,
        )
    ),
    "snapshot": replies.snapshot("job:42", [EVENT], more=True),
    "gap": replies.gap("job:42", 18, 20, filled=False),
    "resubscribe: renamed": replies.resubscribe("job:42", Position("m2", 17), None),
    "resubscribe: gap": replies.resubscribe("job:42", Position("m2", 2), Gap(1, 2, Cause.EPOCH), []),
    "resubscribe: the channel was deleted": replies.resubscribe(
        "job:42", Position("p4x1", 0), Gap(1, 0, Cause.DELETED), []
    ),
    "join": replies.members_changed("join", "doc:7", [{**BOB, "info": {"name": "Bob"}}]),
    "leave": replies.members_changed("leave", "doc:7", [BOB]),
    "update": replies.members_changed(
        "update", "doc:7", [{"user": "bob", "as": "tab-1", "state": {"selection": [1, 2]}}]
    ),
    "token_expiring": replies.token_expiring(1767225600.0, 45.0),
    "token_expiring: of a channel": replies.token_expiring(1767225600.0, 45.0, "job:42"),
    "drain": replies.drain((1200, 3400), 30000),
    "close": replies.close(CloseCode.OVERLOADED, "too many connections", (2000, 5000)),
    "close: for good": replies.close(CloseCode.REVOKED, "revoked", None),
}
RELEASED = {"unsubscribed: a right ended (0.1.0)"}
"""What only the release before wrote, and clients still read."""


def written() -> list[Any]:
    return [case for case in golden("messages") if "hub." in case.values[0]["json"]]


@pytest.mark.parametrize("case", [case for case in written() if case.id not in RELEASED])
def test_each_message_is_made_in_one_place_and_reads_like_its_example(case: dict[str, Any]) -> None:
    example = json.loads(case["json"])
    message = replies.answering(example.get("id"), REPLIES[case["name"]])
    assert list(bodies(encode(message, Encoding.JSON))) == [case["json"].encode()]


def test_every_message_has_an_example() -> None:
    made = {message["type"] for message in REPLIES.values()}
    text = Path(replies.__file__).read_text()
    names = set(re.findall(r'"type": f?"(hub\.[a-z_]+)"', text)) | {"hub.join", "hub.leave", "hub.update"}
    assert made == names


def test_no_other_module_makes_a_message() -> None:
    root = Path(replies.__file__).parents[1]
    for path in root.rglob("*.py"):
        if path.name != "replies.py" and path.parent.name != "sdk":
            assert not re.search(r'"type": f?"hub\.', path.read_text()), f"{path} makes a message of its own"

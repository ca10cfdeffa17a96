"""What of many changes is told in the end: the rules of a batch, and who is told what of its own."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from hub.broker.base import Member
from hub.presence.board import Batch
from hub.presence.members import members_fields
from hub.presence.notifier import BEHIND_PART, Notifier
from hub.protocol.frames import Encoding, bodies

ANN, BOB = (Member(user, "tab", True, f"c_{user}") for user in ("ann", "bob"))


def batch(*changes: str) -> Batch:
    made = Batch()
    for change in changes:
        made.add(change, ANN)
    return made


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["join"], "join"),
        (["update"], "update"),
        (["leave"], "leave"),
        (["join", "update"], "join"),
        (["join", "leave"], None),
        (["leave", "join"], "update"),
        (["update", "leave"], "leave"),
        (["update", "update"], "update"),
        (["leave", "join", "leave"], "leave"),
        (["join", "leave", "join"], "join"),
    ],
)
def test_of_a_members_changes_what_a_watcher_needs_to_know(changes: list[str], told: str | None) -> None:
    found = [change for change, _ in batch(*changes).changes.values()]
    assert found == ([told] if told else [])


def test_members_are_told_apart_by_user_and_name() -> None:
    made = batch("join")
    made.add("leave", BOB)
    made.add("leave", Member("ann", "phone", True, "c_2"))
    assert [(change, m.user, m.name) for change, m in made.changes.values()] == [
        ("join", "ann", "tab"),
        ("leave", "bob", "tab"),
        ("leave", "ann", "phone"),
    ]


@pytest.mark.parametrize(
    ("changes", "true"),
    [
        (["join", "leave"], "leave"),
        (["leave", "join"], "join"),
        (["join", "leave", "join"], "leave"),  # and the last join stands among the changes
        (["join", "update"], None),
        (["update", "leave"], None),
    ],
)
def test_what_cancels_out_is_kept_for_who_has_read_a_list_in_between(
    changes: list[str], true: str | None
) -> None:
    found = [change for change, _ in batch(*changes).cancelled.values()]
    assert found == ([true] if true else [])


class Outbox:
    """What a socket would get, and whether it takes it."""

    encoding = Encoding.JSON
    limit = 10_000

    def __init__(self) -> None:
        self.blocked = False
        self.queued_bytes = 0
        self.held: list[Any] = []
        self.room: Callable[[], None] | None = None

    def hold(self, pushes: Any) -> None:
        self.held.append(pushes)

    def when_room(self, call: Callable[[], None]) -> None:
        self.room = call


class Watcher:
    """A subscription and its owner in one."""

    ended = False

    def __init__(self, member: Member) -> None:
        self.id = member.owner
        self.member = member.name
        self.owner = self
        self.outbox = Outbox()
        self.told: list[tuple[str, list[str]]] = []

    def share(self, push: Any) -> None:
        for body in bodies(push.frame(Encoding.JSON)):
            message = orjson.loads(body)
            self.told.append((message["type"], [member["user"] for member in message["members"]]))


@pytest.fixture
def owed() -> list[Any]:
    return []


@pytest.fixture
def notifier(owed: list[Any]) -> Notifier:
    return Notifier(4096, owed.append)


def test_ones_own_join_is_not_told_and_the_others_are(notifier: Notifier) -> None:
    ann, bob = Watcher(ANN), Watcher(BOB)
    notifier.of_changes("doc:1", "join", [ANN, BOB], [ann, bob])  # type: ignore[list-item]
    assert ann.told == [("hub.join", ["bob"])]
    assert bob.told == [("hub.join", ["ann"])]
    notifier.of_changes("doc:1", "update", [ANN], [ann, bob])  # type: ignore[list-item]
    assert ann.told[-1] == bob.told[-1] == ("hub.update", ["ann"])


def test_who_was_told_that_it_left_gets_a_list_when_it_is_back(notifier: Notifier, owed: list[Any]) -> None:
    ann = Watcher(ANN)
    notifier.of_changes("doc:1", "leave", [ANN], [ann])  # type: ignore[list-item]
    assert (ann.told, owed) == ([("hub.leave", ["ann"])], [])
    notifier.of_changes("doc:1", "join", [ANN], [ann])  # type: ignore[list-item]
    assert owed == [ann]
    notifier.of_list("doc:1", [ANN], [ann])  # type: ignore[list-item]
    notifier.of_changes("doc:1", "join", [ANN], [ann])  # type: ignore[list-item]
    assert owed == [ann], "once it stands in a list, it is inside again"


def test_who_can_not_take_it_falls_behind_and_is_owed_one_list(notifier: Notifier, owed: list[Any]) -> None:
    ann = Watcher(ANN)
    ann.outbox.blocked = True
    ann.outbox.queued_bytes = int(ann.outbox.limit * BEHIND_PART)
    for _ in range(3):
        notifier.of_changes("doc:1", "join", [BOB], [ann])  # type: ignore[list-item]
    notifier.of_list("doc:1", [BOB], [ann])  # type: ignore[list-item]
    assert (ann.told, owed) == ([], [])
    ann.outbox.blocked, ann.outbox.queued_bytes = False, 0
    assert ann.outbox.room is not None
    ann.outbox.room()
    assert owed == [ann]
    notifier.of_list("doc:1", [ANN, BOB], [ann])  # type: ignore[list-item]
    notifier.of_changes("doc:1", "leave", [BOB], [ann])  # type: ignore[list-item]
    assert ann.told == [("hub.presence", ["ann", "bob"]), ("hub.leave", ["bob"])]


def test_a_blocked_socket_with_room_is_told_all_the_same(notifier: Notifier) -> None:
    ann = Watcher(ANN)
    ann.outbox.blocked = True
    notifier.of_changes("doc:1", "join", [BOB], [ann])  # type: ignore[list-item]
    assert ann.told == [("hub.join", ["bob"])]


def test_who_ended_while_it_was_behind_is_owed_nothing(notifier: Notifier, owed: list[Any]) -> None:
    ann = Watcher(ANN)
    ann.outbox.blocked, ann.outbox.queued_bytes = True, ann.outbox.limit
    notifier.of_changes("doc:1", "join", [BOB], [ann])  # type: ignore[list-item]
    ann.ended = True
    assert ann.outbox.room is not None
    ann.outbox.room()
    assert owed == []


def test_members_are_counted_by_user_where_that_is_asked_for() -> None:
    phone = Member("ann", "phone", True, "c_2")
    assert [(each["user"], each["members"]) for each in members_fields([ANN, BOB, phone], by_user=True)] == [
        ("ann", 2),
        ("bob", 1),
    ]

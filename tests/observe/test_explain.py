"""Each possible answer of `explain`, from facts as nodes tell them. test_why.py asks two real nodes."""

from typing import Any

import pytest

from hub.broker.memory.broker import MemoryBroker
from hub.namespaces import Namespaces
from hub.observe.explain import Answer, Question, explain
from hub.protocol.event import Publication

NOW = 1_790_000_000_000
SPACES = Namespaces.shipped()


def live(**given: Any) -> dict[str, Any]:
    place = {"epoch": "e", "since": NOW - 60_000, "from": 0, "to": 3, **given.pop("place", {})}
    return {
        "connection": "c_1",
        "member": "c_1",
        "user": "bob",
        "node": "n_1",
        "subscribed": True,
        "channels": {"job:1": place},
        "unread_bytes": 0,
        "unacked_bytes": 0,
        "blocked": False,
        "queued": 0,
        "sent": None,
        "held_from": None,
        **given,
    }


def ended(**given: Any) -> dict[str, Any]:
    more = {
        "by": "peer",
        "code": 4101,
        "name": "slow_consumer",
        "reason": "it did not read",
        "time": NOW,
        "count": 1,
    }
    return {**live(), **more, **given}


def node(name: str = "n_1", **given: Any) -> dict[str, Any]:
    return {
        "node": name,
        "since": NOW - 900_000,
        "deaf_s": 0.0,
        "storage": True,
        "channel": {"epoch": "e", "top": 3},
        "live": [],
        "ends": [],
        "refusals": [],
        "strangers": [],
        "gaps": [],
        **given,
    }


def published(id: str, key: str | None = None) -> Publication:
    return Publication("job:1", "tick", b"1", "svc", event_id=id, origin="c_1", key=key)


async def ask(
    *facts: dict[str, Any],
    silent: dict[str, float] | None = None,
    events: int = 3,
    keys: str = "",
    **asked: Any,
) -> Answer:
    """Three events stand in job:1, unless fewer were published; the last is asked about, unless another is.
    `keys`: a letter each."""
    broker = MemoryBroker(SPACES, clock=lambda: NOW / 1000)
    for number in range(events):
        await broker.publish([published(f"e_{number + 1}", keys[number : number + 1] or None)])
    question = {"channel": "job:1", "user": "bob", **asked}
    return await explain(Question(**question), facts or (node(),), broker, Namespaces.shipped(), silent)


@pytest.mark.parametrize(
    ("fact", "asked", "cause", "words"),
    [
        (live(), {}, "delivered", "event 3 was written to c_1, and acknowledged by its side"),
        (live(unacked_bytes=900), {}, "delivered", "900 bytes not acknowledged yet (the client's kernel, or"),
        (live(unacked_bytes=900, blocked=True), {}, "unread", "whose side has 900 bytes not acknowledged"),
        (live(unacked_bytes=None), {}, "delivered", "event 3 was written to c_1"),
        (live(place={"merged": [[1, 2], [2, 3]]}), {"offset": 1}, "merged", "event 1 was merged into 3"),
        (live(place={"own_left_out": True}), {}, "echo", "event 3 is bob's own, and echo:false leaves"),
        (
            live(place={"from": 3, "since": NOW + 1}),
            {},
            "before",
            "event 3 is older than the subscription of c_1",
        ),
        (live(queued=2, sent=2, unread_bytes=70), {}, "slow", "event 3 waits for c_1 to read: 70 bytes wait"),
        (live(queued=2, sent=2), {"offset": 2}, "delivered", "event 2 was written"),
        (live(held_from=2), {}, "held", "event 3 is held back for the max_rate that c_1 asked for"),
        (live(held_from=3), {"event_id": "e_2"}, "delivered", "event 2 was written"),
    ],
)
async def test_while_it_is_connected(
    fact: dict[str, Any], asked: dict[str, Any], cause: str, words: str
) -> None:
    found = await ask(node(live=[fact]), **asked)
    assert (found.cause, words in found.answer) == (cause, True), found.answer


@pytest.mark.parametrize(
    ("fact", "asked", "cause", "words"),
    [
        (ended(), {}, "slow", "c_1 of bob ended at 14:13:20 UTC with 4101 slow_consumer"),
        (ended(code=1006, name="lost"), {}, "delivered", "event 3 was written before c_1 of bob ended"),
        (ended(code=1006, name="lost", unread_bytes=5), {}, "unread", "but 5 bytes were not read"),
        (ended(code=1006, name="lost", unacked_bytes=7), {}, "unread", "but 7 bytes were not read"),
        (ended(code=4410, name="revoked", time=NOW - 9), {}, "revoked", "bob was not connected: c_1 of bob"),
        (ended(code=4410, name="revoked", by="hub", reason="taken back", time=NOW + 9), {}, "revoked",
         "with 4410 revoked (taken back), and bob did not come back since"),
        (ended(code=4410, name="revoked", by="hub", time=NOW + 9), {"offset": 3}, "delivered",
         "event 3 was written before c_1"),
        (ended(channels={"job:1": live(place={"merged": [[2, 3]]})["channels"]["job:1"]}), {"offset": 2}, "merged",
         "event 2 was merged into 3 before"),
        (ended(channels={"job:11": {"to": 4}}), {}, "not_subscribed", "but to job:11; did you mean job:11?"),
    ],
)  # fmt: skip
async def test_when_it_is_over(fact: dict[str, Any], asked: dict[str, Any], cause: str, words: str) -> None:
    place = fact["channels"].get("job:1")
    if "was not connected" in words:
        place["to"] = 2
    found = await ask(node(ends=[fact]), **asked)
    assert (found.cause, words in found.answer) == (cause, True), found.answer


def refusal(**given: Any) -> dict[str, Any]:
    more = {"channel": None, "reason": "the reason", "code": "token_expired", "time": NOW, "count": 1}
    return {"user": "bob", "address": "10.0.0.9", "origin": None, **more, **given}


WHERE = (
    "event 2 is older than the subscription of c_1 to job:1, which began at 14:13:19 UTC at position e:3: "
)


@pytest.mark.parametrize(
    ("place", "asked", "words"),
    [
        ({}, {}, "nothing older was asked for"),
        ({"begun": "position"}, {}, "it resumed from there, where its client said it stood"),
        ({"begun": "gap"}, {}, "what was missed could not be recovered any more, and the client was told of"),
        ({"begun": "snapshot"}, {}, "holds the newest event of each key, and this one has no key"),
        ({"begun": "snapshot"}, {"keys": "aab"}, "it was part of the snapshot that it began with"),
        ({"begun": "snapshot"}, {"keys": "abb"}, "had event 3 in its place, a newer one of its key"),
        ({"begun": "snapshot", "from": 2}, {"keys": "abb"}, "it was part of the snapshot that it began with"),
    ],
)
@pytest.mark.parametrize("over", [False, True])
async def test_what_is_older_than_the_subscription(
    place: dict[str, Any], asked: dict[str, Any], words: str, over: bool
) -> None:
    """Also where something was not read when it ended: that is not why."""
    place = {"epoch": "e", "since": NOW - 1, "from": 3, "to": 3, **place}
    facts = (
        node(ends=[ended(channels={"job:1": place}, unread_bytes=70)])
        if over
        else node(live=[live(place=place)])
    )
    found = await ask(facts, offset=2, **asked)
    assert found.cause == "before"
    where = WHERE if place["from"] == 3 else WHERE.replace("e:3", "e:2")
    assert found.answer.startswith(where), found.answer
    assert words in found.answer


async def test_who_was_sent_away_is_told_that_where_no_event_is_named() -> None:
    place = {"epoch": "e", "since": NOW - 1, "from": 3, "to": 3}
    over = ended(code=4410, name="revoked", by="hub", time=NOW + 9, channels={"job:1": place})
    assert (await ask(node(ends=[over]))).cause == "revoked"
    assert (await ask(node(ends=[over]), event_id="e_3")).cause == "before"


async def test_what_is_older_by_another_numbering() -> None:
    """A position of another numbering says nothing of this one, unless that goes on with what it had."""
    place = {"since": NOW - 1, "from": 900, "to": 3, "of": "d"}
    assert (await ask(node(live=[live(place=place)]))).cause == "delivered"
    forked = await ask(node(live=[live(place={**place, "since": NOW + 1})]))
    assert forked.cause == "before"
    assert "at position d:900" in forked.answer


async def test_what_is_trimmed_and_older() -> None:
    place = {"from": 3, "to": 3, "begun": "snapshot"}
    broker = MemoryBroker(Namespaces.shipped(), clock=lambda: NOW / 1000)
    size = Namespaces.shipped().of("job:1").history_size
    for number in range(size + 3):
        await broker.publish([published(f"e_{number}")])
    found = await explain(
        Question("job:1", "bob", offset=1), [node(live=[live(place=place)])], broker, SPACES
    )
    assert found.cause == "before"
    assert found.answer.endswith("had it if it was the newest of its key then")


async def test_who_was_refused() -> None:
    once = await ask(node(refusals=[refusal()]))
    assert once.answer == "bob was refused to connect at 14:13:20 UTC: token_expired: the reason"
    often = await ask(node(refusals=[refusal(channel="job:1", code="forbidden", count=3)]))
    assert often.cause == "forbidden"
    assert "refused to subscribe to job:1 at 14:13:20 UTC, 3 times: forbidden" in often.answer
    typo = await ask(node(refusals=[refusal(channel="job:12", code="forbidden")]))
    assert typo.answer.endswith("; did you mean job:12?")


async def test_who_was_never_seen() -> None:
    nobody = await ask()
    assert nobody.cause == "never_came"
    assert nobody.answer == (
        "bob was not seen here since 13:58:20 UTC; what was before that is beyond what is remembered"
    )
    page = await ask(node(strangers=[refusal(user=None, origin="https://evil.example", code="forbidden")]))
    assert page.cause == "origin"
    assert "a page of https://evil.example was refused" in page.answer
    assert "1 times" not in " ".join(page.steps)
    elsewhere = await ask(node(live=[live(subscribed=False, channels={"job:12": {}})]))
    assert elsewhere.cause == "not_subscribed"
    assert elsewhere.answer.endswith("but to job:12; did you mean job:12?")


async def test_where_its_knowledge_ends() -> None:
    """It ends with the node that remembers least."""
    found = await ask(node(since=NOW - 900_000), node("n_2", since=NOW + 1000, ends=[ended(time=NOW + 9)]))
    assert found.cause == "slow"
    assert (
        "what the nodes remember begins at 14:13:21 UTC, after the event: who was connected then is not known"
        in found.steps
    )
    assert not any("remember" in step for step in (await ask(node(ends=[ended()]))).steps)


async def test_a_node_that_is_deaf_or_gone() -> None:
    heard = node(channel={"epoch": "e", "top": 2}, live=[live(place={"to": 2})])
    assert (await ask(heard)).cause == "not_heard"
    deaf = await ask({**heard, "deaf_s": 12.0})
    assert deaf.cause == "node_deaf"
    assert "was not heard by n_1, which is deaf: it has heard nothing for 12 s" in deaf.answer
    elsewhere = await ask(node("n_2"), silent={"n_1": 12.0})
    assert elsewhere.cause == "node_deaf"
    assert "n_1 is deaf: it has heard nothing for 12 s" in elsewhere.answer
    died = await ask(node("n_2"), silent={"n_1": 0.0})
    assert died.cause == "node_silent"


async def test_what_was_never_published() -> None:
    assert (await ask(events=0)).cause == "never_published"
    typo = await ask(node(ends=[ended(channels={"job:12": {"to": 4}})]), events=0)
    assert typo.answer.endswith("; did you mean job:12?"), "also of who is gone already"
    assert (await ask(offset=9)).answer == "no event 9 was published to job:1: its last is 3"
    assert (await ask(event_id="e_9")).cause == "never_published"
    unknown = await ask(channel="jobs:1")
    assert (unknown.cause, unknown.answer.endswith("did you mean job:1?")) == ("unknown_namespace", True)


async def test_what_is_no_longer_stored_is_said() -> None:
    broker = MemoryBroker(Namespaces.shipped(), clock=lambda: NOW / 1000)
    size = Namespaces.shipped().of("job:1").history_size
    for number in range(size + 3):
        await broker.publish([published(f"e_{number}")])
    top = {"epoch": "e", "top": size + 3}
    facts = node(channel=top, live=[live(place={"to": size + 3})])
    found = await explain(Question("job:1", "bob", offset=1), [facts], broker, Namespaces.shipped())
    assert "event 1 is no longer stored: it was trimmed" in found.steps
    assert found.cause == "delivered"


async def test_what_was_lost_on_the_way_is_told() -> None:
    gap = {"from": 2, "to": 3, "filled": True, "time": NOW}
    found = await ask(node(live=[live()], gaps=[gap]))
    assert found.cause == "delivered"
    assert any("its announcement was lost on the way to n_1: refilled" in step for step in found.steps)


async def test_a_channel_that_keeps_nothing() -> None:
    found = await ask(node(live=[live(channels={"cursor:1": {"since": NOW}})]), channel="cursor:1", events=0)
    assert (found.cause, found.answer) == ("subscribed", "bob is subscribed to cursor:1 by c_1")

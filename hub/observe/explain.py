"""Why an event came to somebody or did not: one sentence that answers, and the steps that lead to it.

    published ─▶ stored ─▶ announced ─▶ heard by the node ─▶ matched a subscription ─▶ queued or merged ─▶ written

Exact for what the nodes still know; where that ends, it says so. Asked for without an event, it speaks of the
channel's last one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..broker.base import Broker
from ..namespaces import Namespaces
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..protocol.event import Event
from . import before
from .words import at, counted, near

SCANNED = 1000  # newest events among which an event_id is looked for
DEAF_S = 2.5
BEYOND = "what the nodes remember begins at"
PROXY = " (the client's kernel, or that of a proxy in front)"

Facts = dict[str, Any]
Later = Sequence[int] | None
"""Newer events of the event's key (`before.later`)."""


@dataclass(frozen=True, slots=True)
class Question:
    """Who did not get what. Either `user` or `connection`; of `offset` and `event_id` at most one."""

    channel: str
    user: str | None = None
    connection: str | None = None
    offset: int | None = None
    event_id: str | None = None

    @property
    def who(self) -> str:
        """For sentences."""
        return self.user or self.connection or "nobody"


@dataclass(slots=True)
class Answer:
    """`answer` is the sentence, `steps` what was found on the way, `cause` a word for programs."""

    cause: str = ""
    answer: str = ""
    steps: list[str] = field(default_factory=list)

    def end(self, cause: str, sentence: str) -> "Answer":
        """This is why."""
        self.cause, self.answer = cause, sentence
        return self


async def explain(
    question: Question,
    facts: Sequence[Facts],
    broker: Broker,
    namespaces: Namespaces,
    silent: Mapping[str, float] | None = None,
) -> Answer:
    """The answer, from what the nodes know (`NodeFacts.about`) and what is stored. `silent` nodes did not answer;
    of each, for how long it had heard nothing when it last said so (s)."""
    answer = Answer()
    try:
        namespace = namespaces.of(question.channel)
    except HubError as error:
        name = question.channel.partition(":")[0]
        space = near(name, (each for each, _ in namespaces.items()))
        hint = f"; did you mean {space}:{question.channel.partition(':')[2]}?" if space else ""
        return answer.end(
            error.code.value, f"{question.channel} is no channel of this hub: {error.reason}{hint}"
        )
    event: Event | None = None
    if namespace.stored:
        try:
            event, ended = await _stored(question, broker, answer, facts)
        except HubError as error:
            answer.steps.append(f"what is stored can't be read now: {error.reason}")
            ended = False
        if ended:
            return answer
    later = await before.later(event, _places(question, facts), broker)
    return _reached(question, event, later, facts, silent or {}, answer)


async def _stored(
    question: Question, broker: Broker, answer: Answer, facts: Sequence[Facts]
) -> tuple[Event | None, bool]:
    """The event, and whether the answer is found already."""
    name = question.channel
    if question.offset is not None:
        page = await broker.read(name, question.offset - 1, 1)
    else:
        page = await broker.read(name, None, SCANNED if question.event_id else 1)
    top = page.top
    if not top.offset:
        hint = _other_channel(question, facts)
        answer.end("never_published", f"nothing was ever published to {name}, as far as is stored{hint}")
        return None, True
    answer.steps.append(f"{name} stands at {top.epoch}:{top.offset}, stored from {top.first} on")
    events = [each for each in page.events if question.event_id in (None, each.id)]
    if question.offset is not None and question.offset > top.offset:
        answer.end(
            "never_published", f"no event {question.offset} was published to {name}: its last is {top.offset}"
        )
        return None, True
    if question.offset is not None and (not events or events[0].offset != question.offset):
        answer.steps.append(f"event {question.offset} is no longer stored: it was trimmed")
        return None, False
    if not events:
        answer.end(
            "never_published",
            f"none of the last {len(page.events)} events of {name} has the id {question.event_id}"
            f"{_other_channel(question, facts)}",
        )
        return None, True
    event = events[-1]
    by = f"by {event.sender}" if event.sender else "by a service"
    answer.steps.append(
        f"event {event.offset} ({event.id}) was accepted {by} at {at(event.time)}, and stored"
    )
    return event, False


def _places(question: Question, facts: Sequence[Facts]) -> list[Facts]:
    """Where connections stand or stood in the channel."""
    found = (each["channels"].get(question.channel) for one in facts for each in (*one["live"], *one["ends"]))
    return [place for place in found if place]


def _reached(
    question: Question,
    event: Event | None,
    later: Later,
    facts: Sequence[Facts],
    silent: Mapping[str, float],
    answer: Answer,
) -> Answer:
    offset = event.offset if event is not None else question.offset
    live = [each for one in facts for each in one["live"]]
    subscribed = [each for each in live if each["subscribed"]]
    if subscribed:
        return _on_live(question, offset, event, later, subscribed, facts, answer)
    answer.steps.append(
        f"{question.who} has {counted(len(live), 'connection')} now, none of them subscribed there"
        if live
        else f"{question.who} has no connection now, on the {counted(len(facts), 'node')} that answered"
    )
    if event is not None and event.time < (since := _known_since(facts)):
        answer.steps.append(f"{BEYOND} {at(since)}, after the event: who was connected then is not known")
    return (
        _silent(question, silent, answer)
        or _on_past(question, offset, event, later, facts, answer)
        or _refused(question, facts, answer)
        or _not_subscribed(question, live, facts, answer)
    )


def _on_live(
    question: Question,
    offset: int | None,
    event: Event | None,
    later: Later,
    live: Sequence[Facts],
    facts: Sequence[Facts],
    answer: Answer,
) -> Answer:
    each = live[0]
    place = each["channels"].get(question.channel) or {}
    name = each["connection"]
    answer.steps.append(
        f"{name} of {each['user']} on {each['node']} is subscribed since {at(place.get('since', 0))}, from offset "
        f"{place.get('from')} on, and stands at {place.get('to')}"
    )
    node = next(one for one in facts if one["node"] == each["node"])
    if offset is None:
        return answer.end("subscribed", f"{question.who} is subscribed to {question.channel} by {name}")
    if (merged := _merged(place, offset)) is not None:
        return answer.end(
            "merged",
            f"event {offset} was merged into {merged}: a newer one of its key, as {name} did not read fast "
            f"enough or asked for a max_rate",
        )
    if event is not None and place.get("own_left_out") and event.origin == each["member"]:
        return answer.end("echo", f"event {offset} is {question.who}'s own, and echo:false leaves those out")
    if before.older(place, offset, event):
        return answer.end("before", before.sentence(question.channel, name, place, offset, event, later))
    if node["channel"] is not None and node["channel"]["top"] < offset:
        deaf = (
            f", which is deaf: it has heard nothing for {node['deaf_s']:.0f} s"
            if node["deaf_s"] > DEAF_S
            else ""
        )
        return answer.end(
            "node_deaf" if deaf else "not_heard",
            f"event {offset} was not heard by {each['node']}{deaf}: it stands at {node['channel']['top']}, and the "
            f"position check refills it within its interval",
        )
    _tell_gaps(offset, node, answer)
    return _written(offset, each, place, answer)


def _written(offset: int, each: Facts, place: Facts, answer: Answer) -> Answer:
    """It reached the connection's node, and matched: has it left?"""
    name = each["connection"]
    if each.get("held_from") is not None and offset >= each["held_from"]:
        return answer.end(
            "held",
            f"event {offset} is held back for the max_rate that {name} asked for, and leaves with its next flush",
        )
    waits = each["queued"] and offset > (each.get("sent") or 0)
    if waits or (place.get("to") or 0) < offset:
        return answer.end(
            "slow",
            f"event {offset} waits for {name} to read: {each['unread_bytes']} bytes wait, the client is slow",
        )
    unacked = each.get("unacked_bytes")
    if each["blocked"] or unacked:
        return answer.end(
            "unread" if each["blocked"] else "delivered",
            f"event {offset} was written to {name}, whose side has {unacked or 'some'} bytes not acknowledged yet"
            f"{PROXY}",
        )
    known = f", and acknowledged by its side{PROXY}" if unacked == 0 else ""
    return answer.end("delivered", f"event {offset} was written to {name}{known}")


def _silent(question: Question, silent: Mapping[str, float], answer: Answer) -> Answer | None:
    """A node that does not answer may have the connection: nothing is sure then."""
    for node, deaf_s in sorted(silent.items(), key=lambda pair: -pair[1]):
        if deaf_s > DEAF_S:
            return answer.end(
                "node_deaf",
                f"{question.who} is not on the nodes that answer, and {node} is deaf: it has heard nothing for "
                f"{deaf_s:.0f} s; who is connected there gets nothing until that link is back or the "
                f"position check has found what is missing",
            )
    if silent:
        names = ", ".join(sorted(silent))
        return answer.end(
            "node_silent",
            f"{question.who} is not on the nodes that answer, and {names} does not: it has died, or hangs; its "
            f"clients come to the others within seconds",
        )
    return None


def _on_past(
    question: Question,
    offset: int | None,
    event: Event | None,
    later: Later,
    facts: Sequence[Facts],
    answer: Answer,
) -> Answer | None:
    """A connection that is over had the subscription when it mattered."""
    ends = sorted((each for one in facts for each in one["ends"]), key=lambda each: -int(each["time"]))
    for each in ends:
        place = each["channels"].get(question.channel)
        if place is None and each["channels"]:
            continue
        how = f"{each['connection']} of {each['user']} ended at {at(each['time'])}"
        how += f" with {each['code']} {each['name']}"
        reason = f" ({each['reason']})" if each["reason"] else ""
        answer.steps.append(f"{how}{reason}; it stood at {place.get('to') if place else '?'}")
        if place is not None and offset is not None and (merged := _merged(place, offset)) is not None:
            return answer.end("merged", f"event {offset} was merged into {merged} before {how}")
        named = question.offset is not None or question.event_id is not None
        sent_away = not named and each["by"] == "hub"  # why nothing comes is asked, and that is why
        if place is not None and offset is not None and not sent_away and before.older(place, offset, event):
            whose = each["connection"]
            return answer.end("before", before.sentence(question.channel, whose, place, offset, event, later))
        if each["name"] == "slow_consumer":
            return answer.end(
                "slow",
                f"{how}: the client did not read, {each['unread_bytes']} bytes waited; it resumes where it was",
            )
        if place is not None and offset is not None and (place.get("to") or 0) >= offset:
            unread = each["unread_bytes"] or each["unacked_bytes"]
            if unread:
                return answer.end(
                    "unread",
                    f"event {offset} had left for {question.who}, but {unread} bytes were not read when {how}",
                )
            if sent_away:
                return answer.end(each["name"], f"{how}{reason}, and {question.who} did not come back since")
            return answer.end("delivered", f"event {offset} was written before {how}")
        if event is None or event.time >= each["time"]:
            return answer.end(
                each["name"], f"{question.who} was not connected: {how}{reason}, and did not come back since"
            )
    return None


def _refused(question: Question, facts: Sequence[Facts], answer: Answer) -> Answer | None:
    found = sorted((each for one in facts for each in one["refusals"]), key=lambda each: -int(each["time"]))
    about = [each for each in found if each.get("channel") in (None, question.channel)] or found
    if not about:
        return None
    each = about[0]
    times = _times(each)
    what = f"subscribe to {each['channel']}" if each.get("channel") else "connect"
    hint = (
        _near(question.channel, [each["channel"]])
        if each.get("channel") not in (None, question.channel)
        else ""
    )
    return answer.end(
        each["code"],
        f"{question.who} was refused to {what} at {at(each['time'])}{times}: "
        f"{each['code']}: {each['reason']}{hint}",
    )


def _not_subscribed(
    question: Question, live: Sequence[Facts], facts: Sequence[Facts], answer: Answer
) -> Answer:
    names = [name for each in live for name in each["channels"]]
    if live:
        near = _near(question.channel, names)
        others = ", ".join(sorted(set(names))[:5]) or "nothing"
        return answer.end(
            "not_subscribed",
            f"{question.who} is connected and not subscribed to {question.channel}, but to {others}{near}",
        )
    if ends := sorted((each for one in facts for each in one["ends"]), key=lambda each: -int(each["time"])):
        names = [name for each in ends for name in each["channels"]]
        others = ", ".join(sorted(set(names))[:5]) or "nothing"
        return answer.end(
            "not_subscribed",
            f"{question.who} was connected until {at(ends[0]['time'])} and not subscribed to {question.channel}, "
            f"but to {others}{_near(question.channel, names)}",
        )
    strangers = [each for one in facts for each in one["strangers"]]
    for each in strangers[:5]:
        where = f" from a page of {each['origin']}" if each.get("origin") else ""
        when = f"at {at(each['time'])}{_times(each)}"
        answer.steps.append(f"somebody at {each['address']}{where} was refused {when}: {each['reason']}")
    if origins := [
        each for each in strangers if each.get("origin") and each["code"] == ErrorCode.FORBIDDEN.value
    ]:
        return answer.end(
            "origin",
            f"{question.who} was not seen, and a page of {origins[0]['origin']} was refused at "
            f"{at(origins[0]['time'])}: HUB_ALLOWED_ORIGINS does not name it",
        )
    since = _known_since(facts)
    return answer.end(
        "never_came",
        f"{question.who} was not seen here since {at(since)}; what was before that is beyond what is remembered",
    )


def _known_since(facts: Sequence[Facts]) -> int:
    """From when on all of the nodes remember everything (Unix ms)."""
    return max((int(one["since"]) for one in facts), default=0)


def _tell_gaps(offset: int, node: Facts, answer: Answer) -> None:
    for gap in node["gaps"]:
        if gap["from"] <= offset <= gap["to"]:
            how = "refilled from the store" if gap["filled"] else "gone from the store"
            answer.steps.append(
                f"its announcement was lost on the way to {node['node']}: {how} at {at(gap['time'])}"
            )


def _merged(place: Facts, offset: int) -> int | None:
    """The offset into which an event was merged in the end."""
    into = dict(place.get("merged", ()))
    if offset not in into:
        return None
    while offset in into:
        offset = into[offset]
    return offset


def _other_channel(question: Question, facts: Sequence[Facts]) -> str:
    """A channel of the user's, of now or of a minute ago, with nearly the same name."""
    known = [name for one in facts for each in (*one["live"], *one["ends"]) for name in each["channels"]]
    return _near(question.channel, known)


def _near(name: str, names: Sequence[str]) -> str:
    found = near(name, names)
    return f"; did you mean {found}?" if found else ""


def _times(each: Facts) -> str:
    return f", {each['count']} times" if each["count"] > 1 else ""

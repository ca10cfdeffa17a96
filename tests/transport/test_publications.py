"""What a publication may bear, over sockets: both lanes, both encodings."""

import json
from typing import Any

import pytest

from ..support.server import RunningHub
from ..support.wire import Encoding, Wire, connect
from .lanes import Lane, running

ENCODINGS: list[Encoding] = ["json", "msgpack"]
GRANTS: dict[str, Any] = {"subscribe": ["*"], "publish": ["*"], "presence": ["*"]}

_names = iter(range(1_000_000))


def fresh(namespace: str) -> str:
    return f"{namespace}:p{next(_names)}"


def service(hub: RunningHub) -> str:
    return hub.token("worker", service=True)


async def refused(wire: Wire, **fields: Any) -> tuple[str, str]:
    answer = await wire.ask(**fields)
    assert answer["type"] == "hub.error", answer
    return answer["code"], answer["reason"]


EVENT: dict[str, Any] = {"event": "note", "payload": {"a": 1}}


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_meta_is_delivered_stored_and_not_compared(hub: RunningHub, encoding: Encoding) -> None:
    channel = fresh("doc")
    meta = {"traceparent": "00-1", "ce.subject": "größe 😀"}
    async with connect(hub.ws_url, hub.token("ann", **GRANTS), encoding=encoding) as wire:
        await wire.ask("subscribe", channel=channel)
        first = await wire.ask("publish", channel=channel, **EVENT, event_id="x", meta=meta)
        again = await wire.ask("publish", channel=channel, **EVENT, event_id="x", meta={"traceparent": "2"})
        assert (first["offset"], again["offset"]) == (1, 1)
        assert "warnings" not in first
        assert (await wire.expect("note"))["meta"] == meta
        [event] = (await wire.ask("history", channel=channel))["events"]
        assert event["meta"] == meta
        await wire.ask("publish", channel=channel, **EVENT, meta=None)
        assert "meta" not in await wire.expect("note")


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_unknown_fields_are_named_and_ignored(hub: RunningHub, encoding: Encoding) -> None:
    channel = fresh("doc")
    async with connect(hub.ws_url, hub.token("ann", **GRANTS), encoding=encoding) as wire:
        answer = await wire.ask("publish", channel=channel, **EVENT, kye="k", x=None)
        assert answer["offset"] == 1
        assert answer["warnings"] == ['unknown field "kye"', 'unknown field "x"']
        many = await wire.ask("publish", channel=channel, **EVENT, **{f"f{n}" * 40: n for n in range(50)})
        assert len(many["warnings"]) == 8
        assert max(map(len, many["warnings"])) < 90
        entries = [{"channel": channel, **EVENT, "typo": 1}, {"channel": channel, **EVENT}]
        batch = await wire.ask("batch", events=entries, oderd=True)
        assert batch["warnings"] == ['unknown field "oderd"']
        assert batch["results"][0]["warnings"] == ['unknown field "typo"']
        assert "warnings" not in batch["results"][1]


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_a_source_is_handed_on_once(hub: RunningHub, encoding: Encoding) -> None:
    channel = fresh("job")
    async with connect(hub.ws_url, service(hub), encoding=encoding) as wire:
        await wire.ask("subscribe", channel=channel)

        async def publish(position: Any, **fields: Any) -> Any:
            source = {"name": "orders:kafka/3", "position": position}
            return await wire.ask("publish", channel=channel, **EVENT, source=source, **fields)

        assert "duplicate" not in await publish(17)
        await publish([1, 0], event_id="other")
        again = await publish(18)
        assert (again["duplicate"], again["offset"]) == (True, 2)
        assert "source" not in await wire.expect("note")
        assert (await wire.expect("note"))["offset"] == 2
        await wire.quiet()


NAMES = {f"n{n}": "" for n in range(17)}
BAD: list[tuple[dict[str, Any], str]] = [
    ({"meta": ["a"]}, "meta must be an object"),
    ({"meta": {"a": {"b": "c"}}}, "meta.a must be a string"),
    ({"meta": {"a": 1}}, "meta.a must be a string"),
    ({"meta": {"a": None}}, "meta.a must be a string"),
    ({"meta": NAMES}, "17 entries"),
    ({"meta": {"A": "b"}}, "a name in meta"),
    ({"meta": {"": "b"}}, "a name in meta"),
    ({"meta": {"a\n": "b"}}, "a name in meta"),
    ({"meta": {"a" * 65: "b"}}, "a name in meta"),
    ({"meta": {"a": "x" * 2048}}, "1024 are allowed"),
    ({"meta": {"a": "x" * 1017}}, "1025 bytes"),
    ({"source": "orders"}, "source must be an object"),
    ({"source": {"name": "orders"}}, "source: position must be"),
    ({"source": {"name": "orders", "position": -1}}, "source: position must be"),
    ({"source": {"name": "orders", "position": 2**53}}, "source: position must be"),
    ({"source": {"name": "orders", "position": "17"}}, "source: position must be"),
    ({"source": {"name": "orders", "position": 1.5}}, "source: position must be"),
    ({"source": {"name": "orders", "position": True}}, "source: position must be"),
    ({"source": {"name": "orders", "position": [1]}}, "source: position must be"),
    ({"source": {"name": "orders", "position": [1, 2, 3]}}, "source: position must be"),
    ({"source": {"name": "orders", "position": [1, -1]}}, "source: position must be"),
    ({"source": {"name": "", "position": 1}}, "source: name must be"),
    ({"source": {"name": "x" * 256, "position": 1}}, "source: name must be"),
    ({"source": {"name": "a\0b", "position": 1}}, "source: name must be"),
    ({"source": {"name": 5, "position": 1}}, "source: name must be"),
    ({"source": {"position": 1}}, "source: name must be"),
    ({"event_id_ttl_ms": 5000}, "needs an event_id"),
    ({"event_id": "x", "event_id_ttl_ms": 999}, "event_id_ttl_ms must be"),
    ({"event_id": "x", "event_id_ttl_ms": 7 * 86_400_000 + 1}, "event_id_ttl_ms must be"),
    ({"event_id": "x", "event_id_ttl_ms": "1h"}, "event_id_ttl_ms must be"),
    ({"event_id": "x", "event_id_ttl_ms": True}, "event_id_ttl_ms must be"),
]


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_what_is_wrong_is_said_with_the_commands_id(hub: RunningHub, encoding: Encoding) -> None:
    channel = fresh("job")
    async with connect(hub.ws_url, service(hub), encoding=encoding) as wire:
        for fields, why in BAD:
            code, reason = await refused(wire, type="publish", channel=channel, **EVENT, **fields)
            assert (code, why in reason) == ("bad_message", True), (fields, reason)
            await wire.ask("ping")  # ten bad ones in a row would end it
        fits = {"a": "x" * 1016}
        assert len(json.dumps(fits, separators=(",", ":"))) == 1024
        assert (await wire.ask("publish", channel=channel, **EVENT, meta=fits))["offset"] == 1
        code, reason = await refused(
            wire, type="publish", channel=fresh("cursor"), **EVENT, source={"name": "o", "position": 1}
        )
        assert (code, "stored" in reason) == ("bad_message", True)


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_what_only_services_give(hub: RunningHub, encoding: Encoding) -> None:
    channel = fresh("doc")
    async with connect(hub.ws_url, hub.token("ann", **GRANTS), encoding=encoding) as wire:
        for fields in ({"source": {"name": "o", "position": 1}}, {"event_id": "x", "event_id_ttl_ms": 5000}):
            assert (await refused(wire, type="publish", channel=channel, **EVENT, **fields))[0] == "forbidden"


class TestBatch:
    @pytest.mark.parametrize("encoding", ENCODINGS)
    async def test_each_event_has_its_own_answer(self, hub: RunningHub, encoding: Encoding) -> None:
        channel = fresh("doc")
        async with connect(hub.ws_url, hub.token("ann", **GRANTS), encoding=encoding) as wire:
            await wire.ask("subscribe", channel=channel)
            good = {"channel": channel, **EVENT}
            events = [good, "no object", {**good, "channel": fresh("job")}, {**good, "event": 5}, good]
            answer = await wire.ask("batch", events=events)
            assert answer["type"] == "hub.published"
            codes = [result.get("code", result.get("offset")) for result in answer["results"]]
            assert codes == [1, "bad_message", "forbidden", "bad_message", 2]
            assert [(await wire.expect("note"))["from"] for _ in range(2)] == ["ann", "ann"]

    @pytest.mark.parametrize("encoding", ENCODINGS)
    @pytest.mark.parametrize("events", [None, [], {}, "x", [{}] * 101])
    async def test_a_batch_is_a_list_of_up_to_100(
        self, hub: RunningHub, encoding: Encoding, events: Any
    ) -> None:
        async with connect(hub.ws_url, hub.token("ann", **GRANTS), encoding=encoding) as wire:
            code, reason = await refused(wire, type="batch", events=events)
            assert (code, reason) == ("bad_message", "events must be a list of 1 to 100")

    async def test_ordered_must_be_a_flag(self, hub: RunningHub) -> None:
        async with connect(hub.ws_url, hub.token("ann", **GRANTS)) as wire:
            assert (await refused(wire, type="batch", events=[{}], ordered="yes"))[0] == "bad_message"

    async def test_without_an_id_it_is_answered_too(self, hub: RunningHub) -> None:
        async with connect(hub.ws_url, hub.token("ann", **GRANTS)) as wire:
            await wire.send("batch", events=[{"channel": fresh("doc"), **EVENT}])
            assert (await wire.expect("hub.published"))["results"][0]["offset"] == 1

    async def test_each_entry_counts_and_nothing_overtakes_what_has_to_wait(self, hub: RunningHub) -> None:
        """`publish_burst` of the namespace is 100: what is over waits, and in order what is behind it, too."""
        channel = fresh("doc")
        async with connect(hub.ws_url, hub.token("ann", **GRANTS)) as wire:
            event = {"channel": channel, **EVENT}
            await wire.ask("batch", events=[event] * 60)
            answer = await wire.ask("batch", events=[*[event] * 60, {**event, "event": 5}], ordered=True)
            codes = [result.get("code") for result in answer["results"]]
            first = codes.index("rate_limited")
            assert codes[:first] == [None] * first
            assert codes[first:] == ["rate_limited", *["unavailable"] * (59 - first), "bad_message"]
            assert all(result["retry"] for result in answer["results"][first:-1])
            top = (await wire.ask("history", channel=channel, limit=1))["offset"]
            assert top == 60 + first

    async def test_a_batch_with_a_source_is_ordered(self, lane: Lane) -> None:
        """A bridge that forgot to say so would lose what has to wait."""
        channel = "small:1"
        spaces = {"small": {"mode": "state", "snapshot_keys": 2}}
        with running(lane, namespaces=spaces) as hub:
            await self.check_order(hub, channel)

    async def check_order(self, hub: RunningHub, channel: str) -> None:
        async with connect(hub.ws_url, service(hub)) as wire:
            events = [
                {"channel": channel, **EVENT, "key": key, "source": {"name": "s", "position": place}}
                for place, key in enumerate(["a", "b", "c", "a"])
            ]
            answer = await wire.ask("batch", events=events)
            assert [result.get("code") for result in answer["results"]] == [
                None,
                None,
                "limit",
                "unavailable",
            ]

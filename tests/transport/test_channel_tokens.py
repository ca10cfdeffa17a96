"""Tokens for one channel, on both lanes and in both encodings: what they give, and when it ends."""

import asyncio
import json
from typing import Any

import pytest

from ..support.server import RunningHub
from ..support.wire import Encoding, connect
from .test_contract import ENCODINGS, fresh

pytestmark = pytest.mark.parametrize("encoding", ENCODINGS)


def channel_token(hub: RunningHub, user: str, channel: str, **fields: Any) -> str:
    """A token of `user` for `channel`; `fields` are those of `RunningHub.token`."""
    claims = {"channel": channel, **fields.pop("claims", {})}
    return hub.token(user, claims=claims, **fields)


async def test_a_channel_that_no_grant_of_the_session_allows(hub: RunningHub, encoding: Encoding) -> None:
    job = fresh("job")
    async with connect(hub.ws_url, hub.token("ann"), encoding=encoding) as wire:
        assert (await wire.ask("subscribe", channel=job))["code"] == "forbidden"
        given = channel_token(hub, "ann", job)
        assert (await wire.ask("subscribe", channel=job, token=given))["type"] == "hub.subscribed"
        hub.publish(job, key="1")
        assert (await wire.expect("tick"))["offset"] == 1
        assert (await wire.ask("history", channel=job))["offset"] == 1
        # A subscription in its place keeps the right; it ends with the subscription.
        assert (await wire.ask("subscribe", channel=job, max_rate=10))["type"] == "hub.subscribed"
        assert (await wire.ask("unsubscribe", channel=job))["type"] == "hub.unsubscribed"
        assert (await wire.ask("subscribe", channel=job))["code"] == "forbidden"


async def test_among_many_at_once(hub: RunningHub, encoding: Encoding) -> None:
    one, other = fresh("job"), fresh("job")
    async with connect(hub.ws_url, hub.token("ann"), encoding=encoding) as wire:
        entries = [{"channel": one, "token": channel_token(hub, "ann", one)}, {"channel": other}]
        first, second = (await wire.ask("subscribe", channels=entries))["results"]
        assert first["epoch"]
        assert second["code"] == "forbidden"
        assert second["channel"] == other


async def test_publishing_and_presence_are_given_for_this_channel_only(
    hub: RunningHub, encoding: Encoding
) -> None:
    doc, other = fresh("doc"), fresh("doc")
    async with connect(hub.ws_url, hub.token("ann"), encoding=encoding) as wire:
        bare = channel_token(hub, "ann", doc)
        refused = await wire.ask("subscribe", channel=doc, token=bare, presence=True)
        assert refused["code"] == "forbidden"
        assert "presence" in refused["reason"]
        full = channel_token(hub, "ann", doc, publish=True, presence=True, info={"name": "Ann"})
        reply = await wire.ask("subscribe", channel=doc, token=full, presence={"as": "tab"})
        assert reply["members"] == [{"user": "ann", "as": "tab", "info": {"name": "Ann"}}]
        assert (await wire.ask("publish", channel=doc, event="x", payload=1))["type"] == "hub.published"
        assert (await wire.ask("presence", channel=doc))["type"] == "hub.presence"
        assert (await wire.ask("set_presence", channel=doc, state=1))["type"] == "hub.presence_set"
        assert (await wire.ask("publish", channel=other, event="x", payload=1))["code"] == "forbidden"
        assert (await wire.ask("presence", channel=other))["code"] == "forbidden"
        assert (await wire.ask("unsubscribe", channel=doc))["type"] == "hub.unsubscribed"
        assert (await wire.ask("publish", channel=doc, event="x", payload=1))["code"] == "forbidden"


async def test_what_is_no_token_for_this(hub: RunningHub, encoding: Encoding) -> None:
    job = fresh("job")
    bad = {
        "a session's": (hub.token("ann", subscribe=["*"]), "token_invalid"),
        "another user's": (channel_token(hub, "bob", job), "forbidden"),
        "another channel's": (channel_token(hub, "ann", fresh("job")), "forbidden"),
        "expired": (channel_token(hub, "ann", job, ttl=-1), "token_expired"),
        "no channel name": (channel_token(hub, "ann", "job"), "token_invalid"),
        "a list": (hub.token("ann", claims={"channel": [job]}), "token_invalid"),
        "the hub's own": (channel_token(hub, "ann", "hub:nodes"), "token_invalid"),
        "publish is a list": (channel_token(hub, "ann", job, publish=["*"]), "token_invalid"),
        "garbage": ("x.y.z", "token_invalid"),
    }
    async with connect(hub.ws_url, hub.token("ann"), encoding=encoding) as wire:
        for what, (token, code) in bad.items():
            reply = await wire.ask("subscribe", channel=job, token=token)
            assert (reply["type"], reply["code"]) == ("hub.error", code), what
            assert reply["channel"] == job
        no_tokens: list[Any] = [5, "", {}]
        for wrong in no_tokens:
            assert (await wire.ask("subscribe", channel=job, token=wrong))["code"] == "bad_message"
        # Nor does it let anybody in, or renew.
        reply = await wire.ask("authenticate", token=channel_token(hub, "ann", job))
        assert reply["code"] == "token_invalid"
        assert "channel" in reply["reason"]
    async with connect(
        hub.ws_url, channel_token(hub, "ann", job), encoding=encoding, place="message", welcomed=False
    ) as wire:
        assert (await wire.expect("hub.error"))["code"] == "token_invalid"
        assert await wire.closed() == 4202


async def test_its_end_is_announced_and_told(hub: RunningHub, encoding: Encoding) -> None:
    job, other = fresh("job"), fresh("job")
    async with connect(hub.ws_url, hub.token("ann", subscribe=[other]), encoding=encoding) as wire:
        await wire.ask("subscribe", channel=other)
        await wire.ask("subscribe", channel=job, token=channel_token(hub, "ann", job, ttl=1.5))
        expiring = await wire.expect("hub.token_expiring")
        assert expiring["channel"] == job
        assert await wire.expect("hub.unsubscribed") == {
            "type": "hub.unsubscribed",
            "channel": job,
            "code": "token_expired",
            "reason": f"the token of {job} has expired",
        }
        hub.publish(job)
        hub.publish(other)
        assert (await wire.expect("tick"))["channel"] == other
        assert (await wire.ask("subscribe", channel=job))["code"] == "forbidden"


async def test_it_is_renewed(hub: RunningHub, encoding: Encoding) -> None:
    doc = fresh("doc")
    async with connect(hub.ws_url, hub.token("ann"), encoding=encoding) as wire:
        missing = await wire.ask("renew", channel=doc, token=channel_token(hub, "ann", doc))
        assert missing["code"] == "conflict"
        short = channel_token(hub, "ann", doc, ttl=2, presence=True)
        await wire.ask("subscribe", channel=doc, token=short, presence=True)
        await wire.expect("hub.token_expiring")
        refused = await wire.ask("renew", channel=doc, token=channel_token(hub, "bob", doc))
        assert refused["code"] == "forbidden"
        long = channel_token(hub, "ann", doc, presence=True)
        renewed = await wire.ask("renew", channel=doc, token=long)
        assert (renewed["type"], renewed["channel"]) == ("hub.renewed", doc)
        assert isinstance(renewed["expires_at"], int)
        await asyncio.sleep(2.2)  # the first one's end
        hub.publish(doc)
        assert (await wire.expect("tick"))["channel"] == doc
        # Without the right to presence, which the subscription has, it ends.
        assert (await wire.ask("renew", channel=doc, token=channel_token(hub, "ann", doc)))[
            "type"
        ] == "hub.renewed"
        assert (await wire.expect("hub.unsubscribed"))["code"] == "forbidden"


async def test_a_renewed_session_leaves_it_alone(hub: RunningHub, encoding: Encoding) -> None:
    job, granted = fresh("job"), fresh("job")
    async with connect(hub.ws_url, hub.token("ann", subscribe=[granted]), encoding=encoding) as wire:
        await wire.ask("subscribe", channel=granted)
        await wire.ask("subscribe", channel=job, token=channel_token(hub, "ann", job))
        await wire.ask("authenticate", token=hub.token("ann"))
        ended = await wire.expect("hub.unsubscribed")
        assert (ended["channel"], ended["code"]) == (granted, "forbidden")
        hub.publish(job)
        assert (await wire.expect("tick"))["channel"] == job


async def test_it_is_revoked(hub: RunningHub, encoding: Encoding) -> None:
    job, name = fresh("job"), f"t-{fresh('job')}"
    token = channel_token(hub, "ann", job, claims={"jti": name})
    async with connect(hub.ws_url, hub.token("ann"), encoding=encoding) as wire:
        assert (await wire.ask("subscribe", channel=job, token=token))["type"] == "hub.subscribed"
        hub.http().post("/v1/revoke", json={"jti": name}).raise_for_status()
        ended = await wire.expect("hub.unsubscribed")
        assert (ended["channel"], ended["code"]) == (job, "revoked")
        again = await wire.ask("subscribe", channel=job, token=token)
        assert (again["code"], again["reason"]) == ("token_invalid", "this token was revoked")


async def test_the_namespace_hub_is_reserved(hub: RunningHub, encoding: Encoding) -> None:
    everything: dict[str, Any] = {"subscribe": ["*", "hub:nodes"], "publish": ["*"], "presence": ["*"]}
    async with connect(hub.ws_url, hub.token("ann", **everything), encoding=encoding) as wire:
        assert (await wire.ask("subscribe", channel="hub:nodes"))["code"] == "forbidden"
        assert (await wire.ask("publish", channel="hub:nodes", event="x", payload=1))["code"] == "forbidden"
    async with connect(hub.ws_url, hub.token("svc", service=True), encoding=encoding) as wire:
        assert (await wire.ask("subscribe", channel="hub:nodes"))["code"] == "forbidden"
    async with connect(hub.ws_url, hub.token("op", admin="read", **everything), encoding=encoding) as wire:
        assert (await wire.ask("subscribe", channel="hub:nodes"))["type"] == "hub.subscribed"
        assert (await wire.ask("publish", channel="hub:nodes", event="x", payload=1))["code"] == "forbidden"
    body = json.dumps({"channel": "hub:nodes", "event": "x", "payload": 1})
    assert hub.http().post("/v1/publish", content=body).status_code == 403

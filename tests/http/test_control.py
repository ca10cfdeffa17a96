"""Disconnect, revoke, connections, drain."""

import asyncio
import time
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from ..support.pace import SCALE
from ..support.server import RunningHub, running_hub
from ..support.wire import connect, problem
from .test_publish import refused


@pytest.mark.parametrize(("reconnect", "code"), [(False, 4411), (True, 4103)])
@pytest.mark.parametrize("by", ["user", "connection"])
async def test_disconnect(hub: RunningHub, by: str, reconnect: bool, code: int) -> None:
    user = f"leaver-{by}-{reconnect}"
    async with connect(hub.ws_url, hub.token(user)) as wire, connect(hub.ws_url, hub.token("stays")) as other:
        target = user if by == "user" else wire.id
        answer = hub.http().post("/v1/disconnect", json={by: target, "reconnect": reconnect})
        assert answer.status_code == 200
        assert await wire.closed() == code
        close = await wire.expect("hub.close")
        assert close["code"] == code
        assert (close["reconnect"] is not None) == reconnect
        assert (await other.ask("ping"))["type"] == "hub.pong"


async def test_disconnect_of_all_connections_of_a_user(hub: RunningHub) -> None:
    token = hub.token("many")
    async with connect(hub.ws_url, token) as one, connect(hub.ws_url, token, encoding="msgpack") as two:
        hub.http().post("/v1/disconnect", json={"user": "many"})
        assert [await one.closed(), await two.closed()] == [4411, 4411]


@pytest.mark.parametrize("path", ["/v1/disconnect", "/v1/revoke"])
def test_whom_must_be_said_once(hub: RunningHub, path: str) -> None:
    names = ("user", "connection") if path == "/v1/disconnect" else ("sub", "jti")
    bodies: list[dict[str, Any]] = [{}, {names[0]: 5}, {names[0]: ""}, {names[0]: "a", names[1]: "b"}]
    for body in bodies:
        refused(hub.http().post(path, json=body), 400, "bad_message")


def test_reconnect_is_a_boolean(hub: RunningHub) -> None:
    refused(hub.http().post("/v1/disconnect", json={"user": "x", "reconnect": 1}), 400, "bad_message")


async def test_revoke_by_sub(hub: RunningHub) -> None:
    token = hub.token("gone", publish=["doc:*"])
    ticket = hub.secret(hub.http(token).post("/v1/tickets").json()["ticket"])
    async with connect(hub.ws_url, token) as wire, connect(hub.ws_url, hub.token("stays")) as other:
        answer = hub.http().post("/v1/revoke", json={"sub": "gone"})
        assert answer.status_code == 200
        assert answer.json()["revoked"] is True
        assert answer.json()["until"] > time.time() * 1000
        assert await wire.closed() == 4410
        assert (await wire.expect("hub.close"))["reconnect"] is None
        assert (await other.ask("ping"))["type"] == "hub.pong"
    body = {"channel": "doc:1", "event": "x", "payload": 1}
    told = refused(hub.http(token).post("/v1/publish", json=body), 401, "token_invalid")
    assert "revoked" in told["reason"]
    for credential, place in ((token, "header"), (ticket, "ticket")):
        with pytest.raises(InvalidStatus) as refusal:
            async with connect(hub.ws_url, credential, place=place):  # type: ignore[arg-type]
                pass
        assert problem(refusal.value)["code"] == "token_invalid"
    fast = hub.token(
        "gone", claims={"iat": int(time.time()) + 5}
    )  # as an issuer whose clock is fast writes it
    assert "revoked" in refused(hub.http(fast).get("/v1/channels/user:gone"), 401, "token_invalid")["reason"]
    # What is issued when no clock can be that fast is another matter; `iat` counts whole seconds.
    await asyncio.sleep(2)
    later = hub.token("gone", claims={"iat": int(time.time()) + 10})
    async with connect(hub.ws_url, later) as wire:
        assert wire.welcome["user"] == "gone"
        hub.http().post("/v1/revoke", json={"jti": "of nobody"})
        assert (await wire.ask("ping"))["type"] == "hub.pong"


async def test_revoke_by_jti(hub: RunningHub) -> None:
    one = hub.token("jay", claims={"jti": "t-1"})
    two = hub.token("jay", claims={"jti": "t-2"})
    async with connect(hub.ws_url, one) as first, connect(hub.ws_url, two) as second:
        assert hub.http().post("/v1/revoke", json={"jti": "t-1"}).status_code == 200
        assert await first.closed() == 4410
        assert (await second.ask("ping"))["type"] == "hub.pong"


async def test_connections_say_why_it_did_not_come(hub: RunningHub) -> None:
    http = hub.http()
    token = hub.token("seen", subscribe=["job:*"])
    async with connect(hub.ws_url, token) as wire, connect(hub.ws_url, token, encoding="msgpack") as other:
        await wire.ask("subscribe", channel="job:seen")
        place = hub.publish("job:seen")
        await wire.expect("tick")
        assert (await wire.ask("subscribe", channel="nope:1"))["code"] == "unknown_namespace"

        answer = http.get("/v1/connections", params={"user": "seen"}).json()
        assert answer["complete"] is True
        assert {found["connection"] for found in answer["connections"]} == {wire.id, other.id}
        (found,) = http.get("/v1/connections", params={"connection": wire.id}).json()["connections"]
        assert found["user"] == "seen"
        assert found["node"] == wire.welcome["node"]
        assert found["address"] == "127.0.0.1"
        assert found["encoding"] == "json"
        assert found["last_error"].startswith("unknown_namespace")
        assert found["outbox"] == {"blocked": False, "entries": 0, "bytes": 0}
        assert found["channels"]["job:seen"]["epoch"] == place["epoch"]
        assert found["channels"]["job:seen"]["offset"] == place["offset"]
        assert found["channels"]["job:seen"]["state"] == "live"
        (found,) = http.get("/v1/connections", params={"channel": "job:seen"}).json()["connections"]
        assert found["connection"] == wire.id
        assert token not in http.get("/v1/connections").text
    for query in ({"user": "nobody"}, {"connection": "c_none"}, {"channel": "job:unseen"}):
        assert http.get("/v1/connections", params=query).json() == {"connections": [], "complete": True}


async def test_trusted_proxies_tell_the_address() -> None:
    forwarded = {"X-Forwarded-For": "203.0.113.9, 198.51.100.4"}
    for trusted, address in ((["127.0.0.0/8"], "198.51.100.4"), ([], "127.0.0.1")):
        with running_hub(trusted_proxies=trusted) as hub:
            async with connect(hub.ws_url, hub.token("ann"), headers=forwarded) as wire:
                query = {"connection": wire.id}
                (found,) = hub.http().get("/v1/connections", params=query).json()["connections"]
                assert found["address"] == address


async def test_drain() -> None:
    with running_hub(drain_notice=0, drain_seconds=2) as hub:
        http = hub.http()
        assert http.get("/readyz").status_code == 200
        async with connect(hub.ws_url, hub.token("ann")) as wire:
            answer = http.post("/v1/drain")
            assert answer.status_code == 202
            ready = await _not_ready(hub)
            assert ready["ready"] is False
            assert "the node is draining" in ready["reasons"]
            assert hub.http().get("/livez").status_code == 200
            assert await wire.closed() == 4100


async def _not_ready(hub: RunningHub) -> Any:
    """The body of a red /readyz, as soon as it is red."""
    http = hub.http()
    async with asyncio.timeout(5 * SCALE):
        while (answer := http.get("/readyz")).status_code == 200:
            await asyncio.sleep(0.02)
    assert answer.status_code == 503
    return answer.json()

"""What the console asks for: tickets in place of keys, figures of nodes, and nothing without `admin`."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from hub.auth.admin_tickets import LIFETIME_S, AdminTickets
from hub.auth.claims import grants
from hub.auth.identity import Identity, Level
from hub.auth.signing import Signer
from hub.console.public_settings import public
from hub.protocol.errors import HubError
from hub.settings import Settings

from ..broker.redis.servers import RedisServer
from ..support.pace import SCALE
from ..support.server import API_KEY, JWT_SECRET, RunningHub, running_hub
from ..support.wire import connect

WRITE, READ = "ops-write-key-0123456789", "ops-read-key-01234567890"
KEYS = {
    "backend": API_KEY,
    "ops": {"key": WRITE, "admin": "write", "subscribe": ["job:*"], "publish": ["job:*"]},
    "eyes": {"key": READ, "admin": "read"},
}
PATHS = ("/v1/console", "/v1/nodes", "/v1/channels", "/v1/settings")


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    with running_hub(api_keys=KEYS, console_mint=True) as running:
        yield running


def signed_in(hub: RunningHub, credentials: str) -> tuple[httpx.Client, str]:
    """As the page does it: a ticket in place of the key."""
    answer = hub.http(credentials).post("/v1/tickets", json={"admin": True})
    assert answer.status_code == 200, answer.text
    ticket = hub.secret(answer.json()["ticket"])
    return hub.http(ticket), ticket


def test_nothing_is_readable_without_admin(hub: RunningHub) -> None:
    plain = hub.token("bob", subscribe=["*"], publish=["*"], service=True)
    for credentials, status in ((None, 401), (plain, 403), (API_KEY, 403), ("c.made-up", 401)):
        http = hub.http(credentials)
        assert {path: http.get(path).status_code for path in PATHS} == dict.fromkeys(PATHS, status)
        assert http.post("/v1/tokens", json={"user": "x"}).status_code == status
    assert hub.http(API_KEY).post("/v1/tickets", json={"admin": True}).status_code == 403


def test_a_ticket_reads_or_writes_as_the_right_it_stands_for(hub: RunningHub) -> None:
    eyes, _ = signed_in(hub, READ)
    ops, ticket = signed_in(hub, WRITE)
    assert eyes.get("/v1/console").json()["admin"] == "read"
    assert eyes.get("/v1/connections").status_code == 200
    assert eyes.post("/v1/disconnect", json={"user": "nobody"}).status_code == 403
    assert eyes.post("/v1/tokens", json={"user": "bob"}).status_code == 403
    me = ops.get("/v1/console").json()
    assert (me["user"], me["admin"], me["mint"], me["socket"]) == ("ops", "write", True, "/ws")
    assert me["grants"]["subscribe"] == ["job:*"]
    assert me["expires_at"] / 1000 - time.time() == pytest.approx(LIFETIME_S, abs=60 * SCALE)
    assert ops.post("/v1/disconnect", json={"user": "nobody"}).status_code == 200
    changed = f"{ticket[:-2]}{'AA' if ticket[-2:] != 'AA' else 'BB'}"
    assert hub.http(hub.secret(changed)).get("/v1/console").status_code == 401
    admin = hub.token("ann", admin="write", service=False)
    ann, _ = signed_in(hub, admin)
    assert ann.post("/v1/disconnect", json={"user": "nobody"}).status_code == 200
    assert ops.post("/v1/revoke", json={"sub": "ann"}).status_code == 200
    assert ann.get("/v1/console").status_code == 401


def test_a_ticket_ends_with_its_time_and_one_by_another_with_that() -> None:
    now = [1000.0]
    tickets = AdminTickets(Signer("secret", "admin"), lambda: now[0])
    nothing = grants((), (), ())
    ops = Identity("ops", float("inf"), nothing, service=True, control=Level.WRITE, admin=Level.READ)
    ticket, left = tickets.issue(ops)
    assert left == LIFETIME_S
    found = tickets.read(ticket)
    assert (found.user, found.control, found.admin) == ("ops", Level.READ, Level.READ)
    now[0] += LIFETIME_S - 10
    again, left = tickets.issue(found)
    assert left == 10
    now[0] += 10
    for each in (ticket, again):
        with pytest.raises(HubError, match="sign in again"):
            tickets.read(each)
    with pytest.raises(HubError, match="not of this hub"):
        AdminTickets(Signer("other", "admin"), lambda: 0).read(ticket)


def test_tokens_are_minted_and_explained(hub: RunningHub) -> None:
    ops, _ = signed_in(hub, WRITE)
    minted = ops.post("/v1/tokens", json={"user": "bob", "hub": {"subscribe": ["job:*"]}, "ttl_s": 60}).json()
    told = ops.post("/v1/tokens/explain", json={"token": hub.secret(minted["token"])}).json()
    assert told["valid"]
    assert any("may subscribe to job:*" in line for line in told["lines"])
    assert ops.post("/v1/revoke", json={"sub": "bob"}).status_code == 200
    told = ops.post("/v1/tokens/explain", json={"token": minted["token"]}).json()
    assert (told["valid"], "revoked" in told["lines"][0]) == (False, True)
    told = ops.post("/v1/tokens/explain", json={"token": "no.token.at all"}).json()
    assert not told["valid"]
    for bad in ({}, {"user": ""}, {"user": "b", "ttl_s": 10**9}, {"user": "b", "hub": 3}):
        assert ops.post("/v1/tokens", json=bad).status_code == 400
    wrong = ops.post("/v1/tokens", json={"user": "b", "hub": {"subscribe": "job:*"}})
    assert wrong.status_code == 401, "one that the hub would refuse is not handed out"


async def test_figures_and_channels(hub: RunningHub) -> None:
    ops, ticket = await asyncio.to_thread(signed_in, hub, WRITE)
    carl = hub.token("carl", subscribe=["job:*"])
    async with connect(hub.ws_url, carl) as wire, connect(hub.ws_url, ticket) as watcher:
        await wire.ask("subscribe", channel="job:seen")
        await wire.ask("subscribe", channel="job:other")
        assert (await watcher.ask("subscribe", channel="hub:nodes"))["type"] == "hub.subscribed"
        told = await watcher.expect("nodes")
        (node,) = told["payload"]["nodes"]
        assert (node["connections"], told["payload"]["complete"]) == (2, True)
        assert (await wire.ask("subscribe", channel="hub:nodes"))["code"] == "forbidden"
        found = (await asyncio.to_thread(ops.get, "/v1/nodes?samples=true")).json()
        assert found["nodes"][0]["node"] == found["samples"][0]["node"] == found["from"]
        found = (await asyncio.to_thread(ops.get, "/v1/channels?search=seen")).json()
        assert [(each["channel"], each["subscribers"], each["mode"]) for each in found["channels"]] == [
            ("job:seen", 1, "state")
        ]
        by_address = "/v1/connections?address=127.0.0.1&limit=1"
        assert len((await asyncio.to_thread(ops.get, by_address)).json()["connections"]) == 1
        nobody = (await asyncio.to_thread(ops.get, "/v1/connections?address=10.0.0.9")).json()
        assert nobody["connections"] == []
        assert (await asyncio.to_thread(ops.get, "/v1/connections?limit=0")).status_code == 400


def test_settings_hold_no_secret(hub: RunningHub) -> None:
    eyes, _ = signed_in(hub, READ)
    text = eyes.get("/v1/settings").text
    for secret in (WRITE, READ, API_KEY, JWT_SECRET):
        assert secret not in text
    shown = public(
        Settings(
            broker="redis://user:hush@host:1/0?password=hush2",
            jwt_secret=SecretStr("hush3-hush3-hush3-hush3-hush3-hush3"),
            api_keys={"a": "hush4-hush4-hush4-hush4"},
            hooks=[{"name": "github", "secret": "hush5"}],
            bridges=[{"name": "b", "kind": "kafka", "sasl_plain_password": "hush6"}],
        )
    )
    assert "hush" not in str(shown)
    assert shown["hooks"]["value"] == [{"name": "github"}]
    assert shown["broker"] == {"value": "redis://host:1/0?(set)", "default": False}
    assert shown["port"]["default"]


def test_the_page_and_its_policy(hub: RunningHub) -> None:
    http = hub.http(None)
    home = http.get("/")
    assert (home.status_code, home.headers["location"]) == (307, "console")
    page = http.get("/console")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert http.get("/console/app.js").headers["content-type"].startswith("text/javascript")
    for path in ("/console/nothing.js", "/console/..%2Fpages.py", "/console/%2e%2e"):
        assert http.get(path).status_code == 404


@pytest.fixture
async def cut_off(tmp_path: Path) -> AsyncIterator[tuple[RunningHub, RedisServer]]:
    async with RedisServer(tmp_path / "redis") as redis:
        with running_hub(api_keys=KEYS, broker=redis.url) as running:
            yield running, redis


async def test_without_redis_a_node_lets_in_and_tells_what_it_knows(
    cut_off: tuple[RunningHub, RedisServer],
) -> None:
    hub, redis = cut_off
    await redis.kill()
    ops, ticket = await asyncio.to_thread(signed_in, hub, WRITE)
    async with connect(hub.ws_url, ticket) as watcher:
        assert (await watcher.ask("subscribe", channel="hub:nodes"))["type"] == "hub.subscribed"
        deadline = time.monotonic() + 20 * SCALE
        while True:
            told: dict[str, Any] = (await watcher.expect("nodes"))["payload"]
            if not told["complete"] and told["nodes"] and told["nodes"][0]["reasons"]:
                break
            assert time.monotonic() < deadline, told
        assert told["nodes"][0]["shards"][0]["usable"] is False
    found = (await asyncio.to_thread(ops.get, "/v1/nodes")).json()
    assert (len(found["nodes"]), found["complete"]) == (1, False)

"""The commands of three in the morning, at a running hub: what a channel holds, who is there, and what to do."""

import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from hub.cli import top

from ..support.pace import SCALE
from ..support.server import API_KEY, JWT_SECRET, RunningHub, free_port, running_hub
from ..support.wire import connect
from .command import Result, hub


@pytest.fixture
def at(running: RunningHub, tmp_path: Path) -> dict[str, Any]:
    """Where the hub is, and a key for it."""
    return {"folder": tmp_path, "url": running.url, "api_key": API_KEY}


def body(result: Result) -> Any:
    assert result.status == 0, result.err
    return json.loads(result.out)


def test_what_a_channel_holds(running: RunningHub, at: dict[str, Any]) -> None:
    for number in range(3):
        running.publish("job:n1", payload={"n": number}, key=f"k{number % 2}", final=number == 2)
    place = running.publish("job:n1", payload={"escape": "\x1b[2J"}, key="k1")
    lines = hub("history", "job:n1", "--limit", "2", **at).out.splitlines()
    assert [line.split("  ")[0] for line in lines[:2]] == ["3", "4"]
    assert "key k0, final" in lines[0]
    assert lines[-1] == f"job:n1 stands at {place['epoch']}:4"
    assert "\x1b" not in lines[1]
    after = body(hub("history", "job:n1", "--since", f"{place['epoch']}:1", "--json", **at))
    assert [event["offset"] for event in after["events"]] == [2, 3, 4]
    page = hub("history", "job:n1", "--since", f"{place['epoch']}:0", "--limit", "1", **at).out
    assert f"more: go on with --since {place['epoch']}:1" in page
    snapshot = hub("snapshot", "job:n1", **at).out.splitlines()
    assert snapshot[-1] == f"2 keys, complete at {place['epoch']}:4"
    assert body(hub("snapshot", "job:n1", "--json", **at))["offset"] == 4
    nothing = hub("history", "job:n2", **at)
    assert (nothing.status, nothing.out.startswith("no events; it stands at ")) == (0, True)
    refused = hub("snapshot", "doc:1", **at)
    assert refused.err.startswith("hub: the hub refused (HTTP 400): doc:1 is of mode log")


async def test_who_is_present(running: RunningHub, at: dict[str, Any]) -> None:
    token = running.token("pia", subscribe=["doc:*"], presence=["doc:*"], info={"name": "Pia"})
    async with connect(running.ws_url, token) as wire:
        await wire.ask("subscribe", channel="doc:p1", presence=True)
        lines = hub("presence", "doc:p1", **at).out.splitlines()
        assert lines == [f'pia  {wire.id}  {{"name": "Pia"}}', "1 present in doc:p1"]
        assert hub("presence", "doc:p1", "--by-user", **at).out.startswith('pia  1 times  {"name": "Pia"}')
        assert body(hub("presence", "doc:p1", "--json", **at))["members"][0]["connection"] == wire.id


@pytest.mark.parametrize(("by", "more", "code"), [("user", (), 4411), ("connection", ("--reconnect",), 4103)])
async def test_closing_connections(
    running: RunningHub, at: dict[str, Any], by: str, more: tuple[str, ...], code: int
) -> None:
    async with connect(running.ws_url, running.token(f"leaver-{by}")) as wire:
        target = wire.id if by == "connection" else f"leaver-{by}"
        said = hub("disconnect", f"--{by}", target, *more, **at)
        assert said.out.startswith(f"every node was told to close {by} {target}"), said.err
        assert await wire.closed() == code


async def test_taking_tokens_back_and_who_knows_of_it(running: RunningHub, at: dict[str, Any]) -> None:
    token = running.token("rob", subscribe=["job:*"])
    secret: dict[str, Any] = {"jwt_secret": JWT_SECRET}
    explained = await asyncio.to_thread(hub, "explain-token", token, **at, **secret)
    assert explained.status == 0
    assert f"the hub at {running.url} takes it, and knows of no revocation" in explained.out
    channel = running.secret(running.token("rob", claims={"channel": "job:1"}))
    assert (
        "knows of no revocation"
        in (await asyncio.to_thread(hub, "explain-token", channel, **at, **secret)).out
    )
    async with connect(running.ws_url, token) as wire:
        assert hub("revoke", "--user", "rob", **at).out.startswith("tokens of user rob that were issued")
        assert await wire.closed() == 4410
    for each, given in ((token, at), (channel, at), (token, {**at, "api_key": ""})):
        told = await asyncio.to_thread(hub, "explain-token", each, **given, **secret)
        assert told.status == 1
        assert told.out.startswith("refused (token_invalid): ")
        assert f"revoked, says the hub at {running.url}" in told.out.splitlines()[0]
    assert body(hub("revoke", "--jti", "j1", "--json", **at))["revoked"] is True
    dead = f"http://127.0.0.1:{free_port()}"
    unknown = await asyncio.to_thread(hub, "explain-token", token, folder=at["folder"], url=dead, **secret)
    assert unknown.status == 0
    assert f"whether it was revoked is not known: no answer from {dead}" in unknown.out
    told = await asyncio.to_thread(
        hub, "explain-token", token, "--json", folder=at["folder"], url=dead, **secret
    )
    assert body(told)["revocation_known"] is False


async def test_the_whole_at_a_glance(running: RunningHub, at: dict[str, Any]) -> None:
    async with connect(running.ws_url, running.token("tom", subscribe=["job:*"])) as wire:
        await wire.ask("subscribe", channel="job:t1")
        for number in range(20):
            running.publish("job:t1", payload=number, key="a")
        lines = hub("top", "--once", **at).out.splitlines()
        assert re.fullmatch(r"1 nodes, \d+ connections", lines[0])
        assert lines[2].startswith("n_")
        assert any(line.split()[1:] == ["job:t1", "1", "subscribers"] for line in lines), lines
        twice = hub("top", "--count", "2", "--every", "0.6", **at).out
        assert twice.count("1 nodes, ") == 2
        assert body(hub("top", "--once", "--json", **at))["complete"] is True


def test_rates_are_those_since_the_look_before() -> None:
    old = {"time": 1_000, "started": 0, "totals": {"published": 10}}
    new = {"time": 3_000, "started": 0, "totals": {"published": 50}}
    assert top._rate(new, old, "published") == 20
    assert top._rate(new, None, "published") == pytest.approx(50 / 3)


def test_a_node_departs(tmp_path: Path) -> None:
    with running_hub() as departing:
        given: dict[str, Any] = {"folder": tmp_path, "url": departing.url, "api_key": API_KEY}
        said = hub("drain", **given)
        assert said.out.startswith("n_"), said.err
        assert departing.process.wait(30 * SCALE) == 0


def test_a_key_goes_before_a_token_and_a_right_that_is_missing_is_looked_for(
    running: RunningHub, at: dict[str, Any]
) -> None:
    """Ann's token stands in the environment, as after the README's first steps."""
    ann = running.token("ann", subscribe=["job:*"])
    assert hub("publish", "job:k1", "tick", "1", **at, token=ann).status == 0
    admin = running.token("adam", admin="read")
    # The key is a plain one, and no administrator.
    assert hub("explain", "--user", "ann", "--channel", "job:k1", **at, token=admin).status == 0
    refused = hub("explain", "--user", "ann", "--channel", "job:k1", **at, token=ann)
    assert refused.err == "hub: the hub refused (HTTP 403): this needs the right admin:read\n"


def test_a_dead_address_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setattr("hub.sdk.console.DEADLINE_S", 0.5)
    began = time.monotonic()
    result = hub("publish", "job:1", "x", "1", folder=tmp_path, url=url, api_key=API_KEY)
    assert result.status == 1
    assert result.err.splitlines()[0] == (
        f"the hub at {url} can't be reached (ConnectError); it is tried again for up to 0.5 s"
    )
    assert time.monotonic() - began < 20 * SCALE

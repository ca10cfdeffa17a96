"""Which addresses may be asked, and that what was looked at is what is connected to."""

import httpx
import pytest

from hub.outgoing.addresses import AddressRefused, Guard, GuardedTransport
from hub.outgoing.requests import NoAnswer, client, post

from ..support.backend import Backend
from .stage import node, publish, table, taken, until


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "192.0.2.1",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
    ],
)
async def test_what_only_this_host_can_reach_is_refused(address: str) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return [address]

    with pytest.raises(AddressRefused, match="may be asked"):
        await Guard(resolve=resolve).pinned(httpx.URL("https://hooks.example/x"))


async def test_public_ones_and_allowed_ones_are_asked() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["10.0.0.7", "93.184.216.34"]

    url = httpx.URL("https://hooks.example:8443/x?y=1")
    assert str(await Guard(resolve=resolve).pinned(url)) == "https://93.184.216.34:8443/x?y=1"
    assert str(await Guard(["10.0.0.0/8"], resolve).pinned(url)) == "https://10.0.0.7:8443/x?y=1"


async def test_an_answer_that_changes_between_the_look_and_the_connect_changes_nothing() -> None:
    answers = iter([["93.184.216.34"], ["127.0.0.1"], ["127.0.0.1"]])
    asked: list[httpx.Request] = []

    async def resolve(host: str, port: int) -> list[str]:
        return next(answers)

    def connect(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(b"{}"))

    transport = GuardedTransport(Guard(resolve=resolve), httpx.MockTransport(connect))
    async with client(1, transport) as http:
        await post(http, "https://hooks.example/x", b"{}", {}, within_s=5, most=100)
        assert asked[0].url.host == "93.184.216.34"
        assert asked[0].headers["host"] == "hooks.example"
        assert asked[0].extensions["sni_hostname"] == "hooks.example"
        with pytest.raises(NoAnswer, match="may be asked"):
            await post(http, "https://hooks.example/x", b"{}", {}, within_s=5, most=100)
    assert len(asked) == 1


async def test_a_hub_asks_no_private_endpoint_unless_it_is_allowed() -> None:
    async with Backend(taken) as server, node(None, table(server.url), allow=[]) as one:
        await publish(one, "log:1", 1)
        await until(lambda: one.endpoint().failed)
        assert not server.seen
        assert "HUB_WEBHOOK_ALLOW" in one.endpoint().last_failure

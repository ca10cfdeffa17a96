"""One address of a hub: what is made of it for HTTP, and for the socket, alike in both clients."""

import asyncio
import json
from typing import Any

import pytest

from hub.client import Client, Stopped
from hub.publisher import Publisher
from hub.sdk.addresses import http_base, socket_address

from ..support.markdown import ROOT

TABLE: list[dict[str, Any]] = json.loads(
    (ROOT / "tests" / "golden" / "tables" / "addresses.json").read_text()
)
GOOD = [each for each in TABLE if "socket" in each and "page" not in each]  # Python has no page
BAD = [each["given"] for each in TABLE if "refused" in each]


@pytest.mark.parametrize("each", GOOD, ids=lambda each: each["given"].strip())
def test_what_is_made_of_it(each: dict[str, Any]) -> None:
    assert (http_base(each["given"]), socket_address(each["given"])) == (each["http"], each["socket"])


@pytest.mark.parametrize("given", BAD)
async def test_what_is_none_is_said_at_once(given: str) -> None:
    with pytest.raises(ValueError, match="begins with http:// or https://"):
        Client(f"{given}?token=eyJh", "t")
    with pytest.raises(ValueError, match="begins with http:// or https://") as caught:
        await Publisher(f"{given}?token=eyJh", api_key="k").start()
    assert "eyJh" not in str(caught.value)


async def test_an_app_without_a_hub_under_its_address_is_told_as_such() -> None:
    """Starlette and FastAPI answer 403 to an upgrade that they do not know."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Stopped, match="HTTP 403: Forbidden, and not by a hub: is it mounted elsewhere"):
            async with Client(f"http://127.0.0.1:{port}/elsewhere", "t") as client:
                await client.wait()

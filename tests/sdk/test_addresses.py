"""One address of a hub: what is made of it for HTTP, and for the socket."""

import pytest

from hub.client import Client
from hub.publisher import Publisher
from hub.sdk.addresses import http_base, socket_address


@pytest.mark.parametrize(
    ("given", "http", "socket"),
    [
        ("http://h:8000", "http://h:8000", "ws://h:8000/ws"),
        ("http://h:8000/", "http://h:8000", "ws://h:8000/ws"),
        ("https://h/hub", "https://h/hub", "wss://h/hub/ws"),
        ("https://h/hub/", "https://h/hub", "wss://h/hub/ws"),
        ("ws://h:8000/ws", "http://h:8000", "ws://h:8000/ws"),
        ("http://h/ws", "http://h", "ws://h/ws"),
        ("wss://h", "https://h", "wss://h/ws"),
        ("wss://h/hub/ws?x=1", "https://h/hub", "wss://h/hub/ws?x=1"),
        ("ws://h/live", "http://h", "ws://h/live"),
        ("http://[::1]:80\n", "http://[::1]:80", "ws://[::1]:80/ws"),
    ],
)
def test_what_is_made_of_it(given: str, http: str, socket: str) -> None:
    assert (http_base(given), socket_address(given)) == (http, socket)


@pytest.mark.parametrize(
    "given",
    [
        "localhost:8000",
        "h",
        "",
        "ftp://h",
        "http://",
        "http:///ws",
        "http://h:port",
        "http://h:99999",
        "http://[",
    ],
)
async def test_what_is_none_is_said_at_once(given: str) -> None:
    with pytest.raises(ValueError, match="begins with http:// or https://"):
        Client(f"{given}?token=eyJh", "t")
    with pytest.raises(ValueError, match="begins with http:// or https://") as caught:
        await Publisher(f"{given}?token=eyJh", api_key="k").start()
    assert "eyJh" not in str(caught.value)

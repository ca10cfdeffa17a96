"""Discovery of a provider: what is found, and what is wrong with a document, in words."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from hub.auth import jws
from hub.auth.oidc import OidcKeys
from hub.protocol.errors import HubError

from .conftest import Pair, good, token
from .issuer import jwk


class Provider:
    """Answers paths by what stands in `pages`."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.url = ""

    def document(self, **more: Any) -> None:
        found = {"issuer": self.url, "jwks_uri": f"{self.url}/keys", **more}
        self.pages["/.well-known/openid-configuration"] = json.dumps(found).encode()

    def keys(self, *keys: dict[str, Any]) -> None:
        self.pages["/keys"] = json.dumps({"keys": keys}).encode()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split()[1].decode()
        self.asked.append(path)
        body = self.pages.get(path)
        status = "200 OK" if body is not None else "404 Not Found"
        size = f"content-length: {len(body or b'')}\r\nconnection: close"
        writer.write(f"HTTP/1.1 {status}\r\n{size}\r\n\r\n".encode() + (body or b""))
        await writer.drain()
        writer.close()


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    found = Provider()
    server = await asyncio.start_server(found.answer, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield found


async def test_keys_are_found_and_bear_the_issuer(pairs: dict[str, Pair]) -> None:
    async with provider() as found:
        # The provider says that it ends in a slash, as Auth0 does: that is what its tokens say.
        found.document(issuer=f"{found.url}/")
        found.keys(jwk(pairs["ES256"], "ES256", kid="k1"))
        keys = OidcKeys(found.url)
        text = token(good(), pairs["ES256"].private_pem, "ES256", kid="k1")
        (key,) = await keys.keys_for(jws.parse(text))
        assert key.provider == f"{found.url}/"
        assert found.asked == ["/.well-known/openid-configuration", "/keys"]
        assert await keys.probe() == []
        assert found.asked[2:] == ["/keys"]  # the document is read once
        await keys.close()


async def test_the_document_is_read_again_where_its_key_set_has_moved(pairs: dict[str, Pair]) -> None:
    async with provider() as found:
        found.document()
        found.keys(jwk(pairs["ES256"], "ES256", kid="k1"))
        keys = OidcKeys(found.url)
        assert await keys.probe() == []
        del found.pages["/keys"]
        found.document(jwks_uri=f"{found.url}/moved")
        found.pages["/moved"] = json.dumps({"keys": [jwk(pairs["ES256"], "ES256", kid="k2")]}).encode()
        assert await keys.probe() == ["the key set can't be had: the endpoint answered HTTP 404"]
        assert await keys.probe() == []
        await keys.close()


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (None, "HTTP 404"),
        (b"<html>", "the discovery document is no JSON"),
        (b"[]", "no JSON object"),
        (b"{}", "names no issuer"),
        (b'{"issuer":"https://elsewhere.example"}', "is that of https://elsewhere.example"),
        (b'{"issuer":"https://login.example/{tenantid}/v2.0"}', "name your own tenant"),
        (b'{"issuer":"URL"}', "names no key set"),
        (b'{"issuer":"URL","jwks_uri":"file:///etc/passwd"}', "names no key set"),
        (b'{"issuer":"URL","x":"' + b"x" * 300_000 + b'"}', "longer than"),
    ],
)
async def test_what_is_wrong_with_a_document(page: bytes | None, words: str) -> None:
    async with provider() as found:
        if page is not None:
            found.pages["/.well-known/openid-configuration"] = page.replace(b"URL", found.url.encode())
        keys = OidcKeys(found.url)
        (line,) = await keys.probe()
        assert words in line
        with pytest.raises(HubError) as refused:
            await keys.keys_for(jws.Jws({}, "RS256", b"", b"", b""))
        assert refused.value.code.value == "unavailable"
        await keys.close()


def test_an_issuer_that_is_no_address() -> None:
    assert OidcKeys("login.example.com").problems()

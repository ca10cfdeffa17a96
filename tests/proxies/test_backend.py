"""One backend over HTTP, with a real server: what it is asked, what is remembered, and what its defects do."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from hub.outgoing.requests import client
from hub.proxies.backend import AT_ONCE, Backend, Unreachable
from hub.proxies.settings import ProxySettings

from ..support import backend as support
from ..support.backend import SECRET, Request, says


class Clock:
    """Monotonic seconds that a test sets, and a count of revocations."""

    now = 100.0
    revoked = 0


@asynccontextmanager
async def asking(
    handler: support.Handler, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[tuple[Backend, support.Backend]]:
    clock = clock or Clock()
    async with support.Backend(handler) as server, client(AT_ONCE) as http:
        given = ProxySettings.model_validate(
            {"event": "subscribe", "url": server.url, "secret": SECRET, **settings}
        )
        yield (
            Backend(given, http, lambda: clock.now, time.time, lambda: clock.revoked, 4096),
            server,
        )


async def test_requests_are_signed_and_say_what_is_asked() -> None:
    async with asking(says({"info": 1})) as (backend, server):
        assert await backend.ask({"user": "ann", "channel": "doc:7"}) == {"info": 1}
        (request,) = server.seen
        request.check_signature()
        assert request.json == {"event": "subscribe", "user": "ann", "channel": "doc:7"}


async def test_what_may_be_remembered_is_until_its_end_or_a_revocation() -> None:
    clock = Clock()
    async with asking(says({"cache_s": 10}), clock) as (backend, _):
        for _ in range(3):
            await backend.decide(("ann", "doc:7"), dict)
        assert backend.asked == 1
        await backend.decide(("bob", "doc:7"), dict)
        assert backend.asked == 2
        clock.now += 11
        await backend.decide(("ann", "doc:7"), dict)
        assert backend.asked == 3
        clock.revoked += 1
        await backend.decide(("ann", "doc:7"), dict)
        assert backend.asked == 4


async def test_without_leave_nothing_is_remembered() -> None:
    async with asking(says({})) as (backend, _):
        for _ in range(3):
            await backend.decide("ann", dict)
        assert backend.asked == 3


async def test_a_storm_asks_for_each_once_and_so_many_at_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.proxies.backend.AT_ONCE", 8)
    monkeypatch.setattr("hub.proxies.backend.WAIT_S", 300.0)

    async def slowly(_: Request) -> support.Answer:
        await asyncio.sleep(0.002)
        return 200, {}, b'{"cache_s":60}'

    async with asking(slowly, timeout=30.0) as (backend, server):
        users = [number // 2 for number in range(120)]  # each comes twice
        await asyncio.gather(*(backend.decide(user, dict) for user in users))
        assert len(server.seen) == 60
        assert server.at_once <= 8


async def _garbage(_: Request) -> support.Answer:
    return 200, {}, b"<html>"


async def _huge(_: Request) -> support.Answer:
    return 200, {}, b" " * 10_000_000


async def _list(_: Request) -> support.Answer:
    return 200, {}, b"[]"


async def _elsewhere(_: Request) -> support.Answer:
    return 302, {"location": "/path"}, b""


async def _broken(_: Request) -> support.Answer:
    return 500, {}, b""


async def _cut(_: Request) -> None:
    return None


async def _no_http(_: Request) -> bytes:
    return b"\x00\xff nothing of HTTP\r\n\r\n"


async def _half(_: Request) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"


@pytest.mark.parametrize(
    "handler",
    [_garbage, _huge, _list, _elsewhere, _broken, _cut, _no_http, _half],
    ids=lambda each: each.__name__,
)
async def test_a_defect_is_no_decision_and_opens_the_breaker(handler: Callable[..., Any]) -> None:
    clock = Clock()
    async with asking(handler, clock, timeout=0.3 if handler is _half else 5.0) as (backend, server):
        for _ in range(5):
            with pytest.raises(Unreachable):
                await backend.ask({})
        assert len(server.seen) == 5, "a redirect is not followed"
        with pytest.raises(Unreachable, match="asked again in"):
            await backend.ask({})
        assert len(server.seen) == 5, "nobody is asked while the breaker is open"
        server.handler = says({})
        clock.now += 60
        assert await backend.ask({}) == {}


async def test_a_byte_a_second_is_given_up_at_the_deadline() -> None:
    """Each byte comes in time, the answer does not."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        try:
            for _ in range(1000):
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    given = ProxySettings.model_validate({"event": "subscribe", "url": url, "secret": SECRET, "timeout": 0.3})
    async with client(1) as http:
        backend = Backend(given, http, time.monotonic, time.time, lambda: 0, 4096)
        with pytest.raises(Unreachable, match="no answer within"):
            await backend.ask({})
    server.close()


async def test_whoever_asked_first_and_left_takes_nobody_along() -> None:
    gate = asyncio.Event()

    async def wait(_: Request) -> support.Answer:
        await gate.wait()
        return 200, {}, b'{"cache_s":60}'

    async with asking(wait) as (backend, server):
        first = asyncio.ensure_future(backend.decide("ann", dict))
        second = asyncio.ensure_future(backend.decide("ann", dict))
        while not server.seen:
            await asyncio.sleep(0.001)
        first.cancel()
        with pytest.raises(Unreachable):
            await second
        gate.set()
        assert await backend.decide("ann", dict) == {"cache_s": 60}


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"event": "connect", "fail": "open"}, "not for connect"),
        ({"event": "call", "fail": "open"}, "not for call"),
        ({"event": "publish", "secret": "short"}, "secret"),
        ({"event": "publish", "secret": []}, "secret is missing"),
        ({"event": "publish", "url": "ftp://x"}, "url"),
        ({"event": "publish", "url": "https://user:pass@x/"}, "url"),
        ({"event": "connect", "match": ["doc:*"]}, "match"),
        ({"event": "nothing"}, "event"),
        ({"event": "publish", "timeout": 0}, "timeout"),
        ({"event": "publish", "kye": 1}, "kye"),
    ],
)
def test_settings_that_make_no_sense_are_refused_without_a_word_of_the_secret(
    table: dict[str, Any], why: str
) -> None:
    from hub.proxies.settings import read
    from hub.settings import Settings

    whole = {"url": "http://127.0.0.1/x", "secret": SECRET, **table}
    with pytest.raises(ValueError, match=r"proxies\[0\]") as wrong:
        read(Settings(proxies=[whole]))
    assert why in str(wrong.value)
    assert SECRET not in str(wrong.value)
    assert json.dumps("pass@") not in str(wrong.value)

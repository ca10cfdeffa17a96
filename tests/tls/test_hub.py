"""A hub that speaks TLS itself: who is let in by a certificate, on both lanes, and what files and strangers do
to it."""

import asyncio
import contextlib
import re
import socket
import ssl
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from hub.client import Client, Event
from hub.protocol.codes import CloseCode
from hub.protocol.errors import HubError
from hub.publisher import Publisher, SyncPublisher, TokenRefused

from ..broker.redis.servers import RedisServer
from ..sources.feeds import redis_feed
from ..sources.process import BridgeProcess
from ..support.certificates import Authority
from ..support.pace import SCALE
from ..support.server import RunningHub, running_hub
from ..transport.lanes import Lane, running

ROOT = Path(__file__).parents[2]
CLIENTS = {
    "worker": {"san": "URI:spiffe://example/worker", "publish": ["job:*"], "subscribe": ["job:*"]},
    "ops": {"subject": "CN=ops,O=Example", "admin": "write"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def worker(authority: Authority) -> str:
    return str(authority.issue("CN=any", "URI:spiffe://example/worker", file="worker.pem"))


@pytest.fixture(scope="module")
def stranger(authority: Authority) -> str:
    return str(authority.issue("CN=stranger", file="stranger.pem"))


@pytest.fixture(scope="module", params=["fast", "portable"])
def lane(request: pytest.FixtureRequest) -> Lane:
    found: Lane = request.param
    return found


@pytest.fixture(scope="module")
def hub(lane: Lane, authority: Authority) -> Iterator[RunningHub]:
    own = authority.issue("CN=hub", "IP:127.0.0.1", "DNS:localhost", file=f"{lane}.pem")
    with running(
        lane,
        tls_cert=str(own),
        tls_client_ca=str(authority.ca),
        tls_clients=CLIENTS,
        tls_client_header="x-client-cert",
        trusted_proxies=["10.0.0.1"],
        allowed_origins=["https://good.example"],
    ) as hub:
        yield hub


def client_context(authority: Authority, cert: str | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.ca))
    if cert is not None:
        context.load_cert_chain(cert)
    return context


@contextlib.contextmanager
def http(
    hub: RunningHub, authority: Authority, cert: str | None = None, **more: Any
) -> Iterator[httpx.Client]:
    timeout = 10.0 * SCALE
    verify = client_context(authority, cert)
    with httpx.Client(base_url=hub.url, verify=verify, timeout=timeout, trust_env=False, **more) as client:
        yield client


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20 * SCALE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def escaped(cert: str) -> str:
    """A certificate without its key, as nginx hands it on."""
    text = Path(cert).read_text()
    return quote(text[: text.index("-----BEGIN PRIVATE")])


EVENT = {"channel": "job:1", "event": "tick", "payload": 1}


def test_a_service_by_its_certificate(
    hub: RunningHub, authority: Authority, worker: str, stranger: str
) -> None:
    with http(hub, authority, worker) as client:
        assert client.post("/v1/publish", json=EVENT).status_code == 200
        assert client.post("/v1/publish", json={**EVENT, "channel": "doc:1"}).status_code == 403
        assert client.get("/v1/channels/job:1/history").status_code == 200  # not by the direct way
        refused = client.post("/v1/publish", json=EVENT, headers={"Authorization": "Bearer nonsense"})
        assert refused.status_code == 401, "a token that is shown counts, and no other right"
        for name in ("Origin", "Sec-Fetch-Site"):
            by_browser = client.post("/v1/publish", json=EVENT, headers={name: "https://good.example"})
            assert by_browser.status_code == 401, "a browser shows its certificate for any page"
    with http(hub, authority, stranger) as client:
        refused = client.post("/v1/publish", json=EVENT)
        assert refused.status_code == 401
        assert (
            refused.json()["reason"] == "the certificate for CN=stranger is none that HUB_TLS_CLIENTS names"
        )
        token = hub.token("ann", subscribe=["job:*"])
        assert (
            client.get("/v1/channels/job:1", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        )
    with http(hub, authority) as client:
        assert client.post("/v1/publish", json=EVENT).status_code == 401
        spoofed = client.post("/v1/publish", json=EVENT, headers={"X-Client-Cert": escaped(worker)})
        assert spoofed.status_code == 401


def test_a_socket_by_a_certificate(hub: RunningHub, authority: Authority, worker: str, stranger: str) -> None:
    with connect(hub.ws_url, ssl=client_context(authority, worker), subprotocols=["hub.v1.json"]) as ws:  # type: ignore[list-item]
        welcome = ws.recv(10 * SCALE)
        assert '"user":"worker"' in str(welcome)
    token = hub.token("ann")
    for cert in (stranger, None):
        with connect(
            hub.ws_url,
            ssl=client_context(authority, cert),
            additional_headers={"Authorization": f"Bearer {token}"},
        ) as ws:
            assert '"user":"ann"' in str(ws.recv(10 * SCALE))
    with (
        pytest.raises(InvalidStatus),
        connect(
            hub.ws_url,
            ssl=client_context(authority, worker),
            additional_headers={"Origin": "https://evil.example"},
        ),
    ):
        raise AssertionError("a page of anybody's")


async def test_the_libraries(hub: RunningHub, authority: Authority, worker: str, stranger: str) -> None:
    ca = str(authority.ca)
    events: list[Any] = []
    async with Client(hub.url, ca=ca, cert=worker) as client, client.subscribe("job:lib") as job:
        async with Publisher(hub.url, ca=ca, cert=worker) as publisher:
            await publisher.publish("job:lib", "tick", 1)
            with pytest.raises(HubError):
                await publisher.publish("doc:1", "tick", 1)
        async with Publisher(hub.url, ca=ca, api_key=hub.api_key) as publisher:
            await publisher.publish("job:lib", "tick", 2)
        await asyncio.to_thread(by_thread, hub.url, ca, worker)
        async with asyncio.timeout(10 * SCALE):
            async for item in job:
                if isinstance(item, Event):
                    events.append(item.payload)
                if len(events) == 3:
                    break
    assert events == [1, 2, 3]
    async with Publisher(hub.url, ca=ca, cert=stranger) as publisher:
        with pytest.raises(TokenRefused):
            await publisher.publish("job:lib", "tick", 1)
    with pytest.raises(ValueError, match="needs a token, or a certificate"):
        Client(hub.url)
    with pytest.raises(ValueError, match="begins with https"):
        Client("http://127.0.0.1:1", ca=ca, cert=worker)
    with pytest.raises(ValueError, match="no such file"):
        Client(hub.url, ca=ca, cert="/nowhere.pem")


def by_thread(url: str, ca: str, cert: str) -> None:
    with SyncPublisher(url, ca=ca, cert=cert) as publisher:
        publisher.publish("job:lib", "tick", 3)


def handshake(hub: RunningHub, context: ssl.SSLContext) -> ssl.SSLSocket:
    raw = socket.create_connection(("127.0.0.1", hub.port), timeout=10 * SCALE)
    return context.wrap_socket(raw, server_hostname="127.0.0.1")


def served(hub: RunningHub, authority: Authority) -> str:
    """The subject of the certificate that a new connection gets."""
    with handshake(hub, client_context(authority)) as sock:
        found: Any = sock.getpeercert()
        return str(dict(pair for part in found["subject"] for pair in part)["commonName"])


def test_versions_and_bad_clients(hub: RunningHub, lane: Lane, authority: Authority, folder: Path) -> None:
    old = client_context(authority)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)), handshake(hub, old):
        pass
    (folder / "other").mkdir(exist_ok=True)
    foreign = Authority(folder / "other").issue("CN=ops,O=Example")
    with pytest.raises((httpx.HTTPError, OSError)), http(hub, authority, str(foreign)) as client:
        client.post("/v1/publish", json=EVENT)
    expired = authority.issue("CN=ops,O=Example", begins=-100_000, ends=-50_000, file="expired.pem")
    with pytest.raises((httpx.HTTPError, OSError)), http(hub, authority, str(expired)) as client:
        client.post("/v1/publish", json=EVENT)
    if lane == "fast":
        with handshake(hub, client_context(authority)) as sock:
            assert sock.version() == "TLSv1.3"


@pytest.fixture(scope="module")
def own_hub(authority: Authority, folder: Path) -> Iterator[tuple[RunningHub, Path]]:
    """A hub of the fast lane whose files change, and its certificate."""
    own = authority.issue("CN=first", "IP:127.0.0.1", file="changing.pem")
    with running_hub(
        tls_cert=str(own),
        tls_client_ca=str(authority.ca),
        tls_clients=CLIENTS,
        auth_timeout=4.0,
        max_http_connections_per_address=40,
    ) as hub:
        yield hub, own


def test_a_changed_certificate_is_that_of_new_connections(
    own_hub: tuple[RunningHub, Path], authority: Authority, worker: str
) -> None:
    hub, own = own_hub
    with http(hub, authority, worker) as client:
        assert client.post("/v1/publish", json=EVENT).status_code == 200
        authority.issue("CN=second", "IP:127.0.0.1", file=own.name)
        until(lambda: served(hub, authority) == "second")
        assert client.post("/v1/publish", json=EVENT).status_code == 200, "the connection stands"
        kept = own.read_bytes()
        own.write_bytes(b"garbage")
        until(lambda: client.get("/readyz").json()["tls"]["problems"])
        ready = client.get("/readyz")
        assert ready.status_code == 200
        assert "holds no certificate" in ready.json()["tls"]["problems"][0]
        assert 'hub_tls_files_broken{worker="0"} 1.0' in client.get("/metrics").text
        assert served(hub, authority) == "second"
        assert "the one before it stays in use" in hub.log()
        own.write_bytes(kept)
        until(lambda: not client.get("/readyz").json()["tls"]["problems"])
        metrics = client.get("/metrics").text
        assert 'hub_tls_files_broken{worker="0"} 0.0' in metrics
        assert 'hub_tls_reload_failures_total{worker="0"} 1.0' in metrics
        for name in re.findall(r"hub_tls_\w+", (ROOT / "deploy/prometheus/alerts.yml").read_text()):
            assert f"\n{name}{{" in metrics


async def test_a_client_whose_certificate_ends_meanwhile_shows_the_next_one(
    own_hub: tuple[RunningHub, Path], authority: Authority
) -> None:
    hub, _ = own_hub
    name = "URI:spiffe://example/worker"
    life = 1.5 * SCALE
    mine = authority.issue("CN=any", name, ends=life, file="short.pem")
    ended = time.monotonic() + life + 0.5
    async with Publisher(hub.url, ca=str(authority.ca), cert=str(mine)) as publisher:
        await publisher.publish("job:short", "tick", 1)
        authority.issue("CN=any", name, file="short.pem")
        while time.monotonic() < ended:
            await publisher.publish("job:short", "tick", 1)
            await asyncio.sleep(0.1)
        await publisher.publish("job:short", "tick", 2)
    life = 1.5 * SCALE
    mine = authority.issue("CN=any", name, ends=life, file="short.pem")
    async with Publisher(hub.url, ca=str(authority.ca), cert=str(mine), deadline=3) as publisher:
        await publisher.publish("job:short", "tick", 1)
        await asyncio.sleep(life + 0.5)
        with pytest.raises(Exception, match=r"expired|can't be reached|gave no answer"):
            await publisher.publish("job:short", "tick", 1)


def test_handshakes_that_never_end(
    own_hub: tuple[RunningHub, Path], authority: Authority, worker: str
) -> None:
    """They take no place for longer than their deadline, no more than an address may have, and nobody else's."""
    hub, _ = own_hub
    before = failed(hub, authority)
    slow = [socket.create_connection(("127.0.0.1", hub.port)) for _ in range(30)]
    began = time.monotonic()
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    for sock in slow[:20]:
        sock.sendall(hello)  # and nothing of the 500 bytes that it announces
    with http(hub, authority, worker) as client:
        assert client.post("/v1/publish", json=EVENT).status_code == 200
    more = [socket.create_connection(("127.0.0.1", hub.port)) for _ in range(30)]
    ended = 0
    for sock in (*slow, *more):
        sock.settimeout(10 * SCALE)
        with contextlib.suppress(ConnectionError):
            assert sock.recv(100)[:1] in (b"", b"\x15")  # an alert at most
        ended += 1
        sock.close()
    assert ended == 60
    assert time.monotonic() - began < 15 * SCALE
    assert failed(hub, authority) >= before + 20
    with socket.create_connection(("127.0.0.1", hub.port), timeout=10 * SCALE) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            plain.recv(100)
    assert "Traceback" not in hub.log()


def failed(hub: RunningHub, authority: Authority) -> float:
    with http(hub, authority) as client:
        lines = client.get("/metrics").text.splitlines()
    return float(
        next(line for line in lines if line.startswith("hub_tls_handshakes_failed_total")).split()[-1]
    )


def test_the_header_of_a_trusted_proxy(authority: Authority, worker: str, stranger: str) -> None:
    with running_hub(
        tls_clients=CLIENTS, tls_client_header="x-client-cert", trusted_proxies=["127.0.0.1"]
    ) as hub:
        pem = escaped(worker)
        client = hub.http(None)
        assert client.post("/v1/publish", json=EVENT).status_code == 401
        assert client.post("/v1/publish", json=EVENT, headers={"X-Client-Cert": pem}).status_code == 200
        twice = [("X-Client-Cert", pem), ("X-Client-Cert", pem)]
        assert client.post("/v1/publish", json=EVENT, headers=twice).status_code == 401
        with connect(hub.ws_url, additional_headers={"X-Client-Cert": pem}) as ws:
            assert '"user":"worker"' in str(ws.recv(10 * SCALE))


async def test_workers_and_a_bridge(authority: Authority, worker: str, tmp_path: Path) -> None:
    """Two workers get a changed certificate both; a bridge is let in by its own, for events and dead letters."""
    own = authority.issue("CN=first", "IP:127.0.0.1", file="workers.pem")
    (tmp_path / "feed").mkdir()
    async with RedisServer(tmp_path / "redis") as broker, redis_feed(tmp_path / "feed") as feed:
        with running_hub(
            "--workers",
            "2",
            broker=broker.url,
            tls_cert=str(own),
            tls_client_ca=str(authority.ca),
            tls_clients=CLIENTS,
        ) as hub:
            assert {served(hub, authority) for _ in range(12)} == {"first"}
            bridge = (
                f'[[bridges]]\nname = "b"\nkind = "redis_stream"\nurl = "{feed.url}"\nstreams = ["orders"]\n'
                'channel = "job:{data.id}"\nevent = "made"\n'
            )
            files = {"HUB_CA": str(authority.ca), "HUB_CERT": worker}
            with (
                BridgeProcess(hub.url, "", bridge, tmp_path / "bridge", **files),
                http(hub, authority, worker) as client,
            ):
                await feed.raw(b'{"id":"7"}')
                await feed.raw(b"no JSON")
                await asyncio.to_thread(until, lambda: history(client, "job:7"))
                ops = str(authority.issue("CN=ops,O=Example"))
                with http(hub, authority, ops) as admin:
                    await asyncio.to_thread(until, lambda: admin.get("/v1/deadletters").json()["letters"])
            authority.issue("CN=second", "IP:127.0.0.1", file=own.name)
            await asyncio.to_thread(until, lambda: {served(hub, authority) for _ in range(12)} == {"second"})


def history(client: httpx.Client, channel: str) -> Any:
    return client.get(f"/v1/channels/{channel}/history").json().get("events")


def test_a_socket_ends_with_its_certificate(own_hub: tuple[RunningHub, Path], authority: Authority) -> None:
    hub, _ = own_hub
    mine = authority.issue("CN=any", "URI:spiffe://example/worker", ends=2 * SCALE, file="ending.pem")
    with connect(hub.ws_url, ssl=client_context(authority, str(mine))) as ws:
        assert '"user":"worker"' in str(ws.recv(10 * SCALE))
        with contextlib.suppress(ConnectionClosed):
            while ws.recv(30 * SCALE):
                continue
        assert ws.close_code == CloseCode.TOKEN_EXPIRED

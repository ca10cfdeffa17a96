"""Whose a client's certificate is."""

import base64
import ssl
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from hub.auth.certificates import Shown
from hub.auth.from_settings import make_certificates
from hub.auth.identity import Identity, Level
from hub.protocol.errors import HubError
from hub.settings import Settings

from ..support.certificates import DAY_S, Authority

CLIENTS = {
    "worker": {"san": "URI:spiffe://example/worker", "publish": ["job:*"], "rate": 5},
    "ops": {"subject": "CN=ops,O=Example", "admin": "write"},
    "web": {"san": "dns:Web.Example", "subscribe": ["job:*"]},
}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def settings(**more: object) -> Settings:
    return Settings(
        tls_clients=CLIENTS, tls_client_header="X-Client-Cert", trusted_proxies=["10.0.0.1"], **more
    )


def own(path: Path, *, browser: bool = False) -> Shown:
    return Shown(certificate(path), None, proxied=False, browser=browser)


def certificate(path: Path) -> str:
    text = path.read_text()
    return text[: text.index("-----BEGIN PRIVATE KEY-----")]


def who(shown: Shown, now: float | None = None) -> Identity | None:
    return make_certificates(settings()).who(shown, time.time() if now is None else now)


def test_a_service_by_a_name_or_by_its_subject(authority: Authority) -> None:
    worker = who(own(authority.issue("CN=any", "DNS:other", "URI:spiffe://example/worker")))
    assert worker is not None
    assert (worker.user, worker.name, worker.service, worker.admin) == (
        "worker",
        "key:worker",
        True,
        Level.NONE,
    )
    assert worker.may_publish("job:42")
    assert not worker.may_publish("doc:1")
    assert not worker.may_subscribe("job:42")
    assert abs(worker.expires_at - time.time() - 90 * DAY_S) < 60
    ops = who(own(authority.issue("CN=ops,O=Example")))
    assert ops is not None
    assert ops.admin is Level.WRITE
    web = who(own(authority.issue("CN=w", "DNS:WEB.example")))
    assert web is not None
    assert web.user == "web"
    assert make_certificates(settings()).limit(worker) == (5.0, 5.0)
    assert make_certificates(settings()).limit(web) is None


def test_nobody_else(authority: Authority) -> None:
    for path in (
        authority.issue("CN=ops", file="a"),  # a part of a subject is none
        authority.issue("O=Example,CN=ops", file="b"),
        authority.issue("CN=worker,O=Example", "DNS:worker", file="c"),
        authority.issue("CN=w", "URI:dns:web.example", file="d"),  # a name of another kind
    ):
        with pytest.raises(HubError, match="none that HUB_TLS_CLIENTS names"):
            who(own(path))
    assert who(Shown(None, None, proxied=False, browser=False)) is None
    assert who(own(authority.issue("CN=ops,O=Example"), browser=True)) is None


def test_a_certificate_ends(authority: Authority) -> None:
    path = authority.issue("CN=ops,O=Example", ends=60)
    assert who(own(path)) is not None
    with pytest.raises(HubError) as caught:
        who(own(path), time.time() + 61)
    assert caught.value.code == "token_expired"


def test_of_a_proxy_its_header_counts_and_of_others_it_does_not(authority: Authority) -> None:
    pem = certificate(authority.issue("CN=ops,O=Example"))
    der = ssl.PEM_cert_to_DER_cert(pem)
    proxy = certificate(authority.issue("CN=any", "URI:spiffe://example/worker"))
    encoded = base64.b64encode(der).decode()
    for written in (quote(pem), quote(pem, safe=""), encoded, f":{encoded}:", pem.replace("\n", " ")):
        found = who(Shown(proxy, written, proxied=True, browser=False))
        assert found is not None, written[:40]
        assert found.user == "ops"
    assert who(Shown(proxy, None, proxied=True, browser=False)) is None, "the proxy's own speaks for nobody"
    assert who(Shown(None, quote(pem), proxied=False, browser=False)) is None
    for bad in (f"{encoded}, {encoded}", "!", "A" * 40_000, encoded[:-8], "%", ":::", encoded[:100]):
        with pytest.raises(HubError) as caught:
            who(Shown(None, bad, proxied=True, browser=False))
        assert caught.value.code == "token_invalid"


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({}, "is named by either san or subject"),
        ({"san": "DNS:a", "subject": "CN=a"}, "is named by either san or subject"),
        ({"san": "worker.example"}, "a name begins with its kind, one of DNS:, URI:, email:, IP:"),
        ({"san": "DNS:"}, "a name begins with its kind"),
        ({"subject": "worker"}, "HUB_TLS_CLIENTS: a: "),
        ({"san": "URI:spiffe://example/worker"}, "is that of worker already"),
    ],
)
def test_bad_settings(rules: dict[str, str], said: str) -> None:
    clients = {"worker": {"san": "URI:spiffe://example/worker"}, "a": rules}
    (problem,) = make_certificates(Settings(tls_clients=clients)).problems()
    assert said in problem

"""``hub check``: everything that is wrong, in words, with no secret in them."""

import http.server
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..sources.process import Process, listens
from ..support.certificates import DAY_S, Authority
from ..support.server import free_port
from .command import hub

SECRET = "s3cr3t-" + "x" * 32


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[int]:
    """The port of a redis-server that lets in only who knows the password, and keeps `shy` from pub/sub."""
    program = shutil.which("redis-server")
    assert program is not None, "the tests need redis-server: make test installs it"
    port = free_port()
    config = tmp_path / "redis.conf"
    config.write_text(
        f'port {port}\nbind 127.0.0.1\nsave ""\ndir {tmp_path}\nrequirepass open-sesame\n'
        "user shy on >hush ~* resetchannels +@all\n"
    )
    with Process([program, str(config)], tmp_path, listens(port)):
        yield port


def test_settings_that_are_right(tmp_path: Path) -> None:
    result = hub(
        "check",
        folder=tmp_path,
        jwt_secret=SECRET,
        api_keys='{"svc":"0123456789abcdef"}',
        allowed_origins='["*"]',
    )
    assert result.status == 0
    assert result.out.splitlines() == [
        "ok       settings: can be read; tokens by a secret; 1 API keys",
        "ok       broker: in the memory of this process",
        "note     HUB_API_KEYS: svc may publish and read everything, and is no admin; "
        '{"key":"…","publish":["job:*"]} binds a key, and "admin":"read" or "write" makes it one',
        "note     HUB_ALLOWED_ORIGINS holds *: any page that has a token may connect and use the HTTP API",
        "note     HUB_BROKER is memory://: one process, and events are gone when it ends",
    ]


def test_the_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    def lines(cert: Path, **more: str) -> tuple[int, str]:
        result = hub("check", folder=tmp_path, jwt_secret=SECRET, tls_cert=str(cert), **more)
        return result.status, "\n".join(line for line in result.out.splitlines() if "TLS" in line)

    good = authority.issue("CN=hub", "DNS:hub.example")
    status, said = lines(good)
    assert status == 0
    assert said.startswith("ok       TLS: the certificate for DNS:hub.example is good until 20")
    status, said = lines(authority.issue("CN=soon", begins=-80 * DAY_S, ends=5 * DAY_S))
    assert status == 0
    assert said.startswith("note     HUB_TLS_CERT: the certificate for CN=soon expires in 5 days")
    status, said = lines(authority.issue("CN=late", ends=-60))
    assert status == 1
    assert said.startswith("problem  HUB_TLS_CERT: the certificate for CN=late has expired")
    status, said = lines(good, tls_key=str(tmp_path / "none"))
    assert status == 1
    assert said == f"problem  HUB_TLS_KEY: {tmp_path / 'none'}: no such file or directory"
    status, said = lines(good, tls_clients='{"a":{"san":"DNS:a"}}')
    assert status == 1
    assert said.startswith("problem  HUB_TLS_CLIENTS needs HUB_TLS_CLIENT_CA")
    status, said = lines(good, tls_clients='{"a":{"san":"a"}}', tls_client_ca=str(authority.ca))
    assert said.startswith("problem  HUB_TLS_CLIENTS: a: a name begins with its kind")


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    result = hub(
        "check",
        folder=tmp_path,
        jwt_secret="s3cr3t",
        jwt_public_key="s3cr3t-and-no-pem",
        api_keys='{"a":"s3cr3t","b":"s3cr3t-0123456789","c":"s3cr3t-0123456789"}',
        allowed_origins='["example.com"]',
        trusted_proxies='["ten"]',
        message_bytes="600000",
        jwt_secrt="s3cr3t",
    )
    problems = [line for line in result.out.splitlines() if line.startswith("problem")]
    for words in (
        "HUB_JWT_SECRT is no setting",
        "the JWT secret has 6 bytes",
        "JWT public key",
        "the API key a is too short",
        "the API keys b and c are the same",
        "'example.com' is no origin",
        "trusted proxies",
        "HUB_MESSAGE_BYTES is above HUB_FRAME_BYTES",
    ):
        assert any(words in line for line in problems), result.out
    assert result.status == 1
    assert "s3cr3t" not in result.out + result.err


def test_settings_that_cannot_be_read_are_told_beside_names_that_are_none(tmp_path: Path) -> None:
    result = hub("check", folder=tmp_path, port="x", jwt_secrt="y")
    assert result.status == 1
    assert [line.split()[1] for line in result.out.splitlines()] == ["HUB_PORT:", "HUB_JWT_SECRT"]


def test_a_broker_that_answers(redis: int, tmp_path: Path) -> None:
    url = f"redis://:open-sesame@127.0.0.1:{redis}"
    result = hub("check", "--broker", url, folder=tmp_path, jwt_secret=SECRET)
    assert result.status == 0, result.out
    assert f"ok       broker: 127.0.0.1:{redis} answers; a message to itself comes back in" in result.out
    assert "open-sesame" not in result.out + result.err


def test_it_only_looks(redis: int, tmp_path: Path) -> None:
    """A check with the wrong servers must not keep the right ones from starting."""
    url = f"redis://:open-sesame@127.0.0.1:{redis}"
    assert hub("check", "--broker", url, folder=tmp_path, jwt_secret=SECRET, prefix="looked").status == 0
    words = ["redis-cli", "-p", str(redis), "-a", "open-sesame", "--no-auth-warning", "keys", "looked*"]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip() == ""


def test_a_schema_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "wrong.json").write_text('{"type": "nothing known"}')
    names = ("away", "broken", "wrong")
    form = {name: {"mode": "log", "schema": str(tmp_path / f"{name}.json")} for name in names}
    result = hub("check", folder=tmp_path, jwt_secret=SECRET, namespaces=json.dumps(form))
    problems = [line for line in result.out.splitlines() if line.startswith("problem")]
    assert [line.split()[2] for line in problems] == ["away:", "broken:", "wrong:"], result.out
    assert "can't be read: No such file" in problems[0]
    assert all("is no JSON Schema" in line for line in problems[1:])
    serving = hub("serve", folder=tmp_path, jwt_secret=SECRET, namespaces=json.dumps(form))
    assert serving.status != 0
    assert "namespace away: the schema" in serving.err


@pytest.mark.parametrize("user", [":wrong-word", "shy:hush"])
def test_a_broker_that_does_not_let_the_hub_in(user: str, redis: int, tmp_path: Path) -> None:
    result = hub("check", "--broker", f"redis://{user}@127.0.0.1:{redis}", folder=tmp_path, jwt_secret=SECRET)
    assert result.status == 1
    assert f"problem  HUB_BROKER: 127.0.0.1:{redis} " in result.out
    assert "WRONGPASS" in result.out or "NOPERM" in result.out  # Redis' own sentence
    assert user.partition(":")[2] not in result.out + result.err


def test_a_broker_that_is_not_there(tmp_path: Path) -> None:
    url = f"redis://:open-sesame@127.0.0.1:{free_port()}"
    result = hub("check", "--broker", url, folder=tmp_path, jwt_secret=SECRET)
    assert result.status == 1
    assert "can't be used: " in result.out
    assert "Connect call failed" in result.out
    assert "open-sesame" not in result.out + result.err


def test_a_key_set_is_fetched(tmp_path: Path) -> None:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"keys":[]}')

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        empty = hub("check", folder=tmp_path, jwks_url=f"http://127.0.0.1:{server.server_port}/jwks")
        server.shutdown()
    assert "problem  HUB_JWKS_URL: " in empty.out
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = hub("check", folder=tmp_path, jwks_url=f"http://127.0.0.1:{nobody.getsockname()[1]}/jwks")
    assert "problem  HUB_JWKS_URL: the key set can't be had" in away.out


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "bridge orders: RabbitMQ of orders: AMQPConnectionError: "),
        ({"channel": "order:{"}, "bridge orders: a brace stands alone"),
        ({"filter": "[[["}, "bridge orders: filter is no jmespath expression"),
        ({"queue": None}, "bridges: a bridge: a bridge of kind rabbitmq needs queue"),
    ],
)
def test_a_bridge_that_can_not_work_is_said(changes: dict[str, object], words: str, tmp_path: Path) -> None:
    bridge = {
        "name": "orders",
        "kind": "rabbitmq",
        "url": "amqp://guest:pass-word@127.0.0.1:1/",
        "queue": "orders",
        "channel": "order:{data.id}",
        "event": "changed",
        **changes,
    }
    result = hub("check", folder=tmp_path, jwt_secret=SECRET, bridges=json.dumps([bridge]))
    assert result.status == 1
    assert words in result.out
    assert "pass-word" not in result.out + result.err


def _streams(redis: int, **changes: object) -> str:
    fields = {
        "name": "orders",
        "kind": "redis_stream",
        "url": f"redis://:open-sesame@127.0.0.1:{redis}",
        "streams": ["orders"],
        "channel": "order:{data.order}",
        "event": "{data.kind}",
        **changes,
    }
    return json.dumps([fields])


def test_what_a_bridge_reads_is_connected_to_and_a_sample_is_mapped(redis: int, tmp_path: Path) -> None:
    (tmp_path / "good.json").write_text('{"order":"7","kind":"paid"}')
    (tmp_path / "bad.json").write_text('{"order":"7"}')
    good = hub("check", "--sample", "good.json", folder=tmp_path, jwt_secret=SECRET, bridges=_streams(redis))
    assert good.status == 0
    assert "ok       bridge orders: redis_stream, streams orders (0 entries)" in good.out
    assert (
        'ok       bridge orders: the sample: {"channel": "order:7", "event": "paid", "payload": "…"}'
        in good.out
    )
    bad = hub("check", "--sample", "bad.json", folder=tmp_path, jwt_secret=SECRET, bridges=_streams(redis))
    assert bad.status == 1
    assert (
        "problem  bridge orders: the sample: a dead letter, bad_message: the message has no data.kind"
        in bad.out
    )


def test_wrong_credentials_of_a_bridge_are_said_and_not_shown(redis: int, tmp_path: Path) -> None:
    wrong = _streams(redis, url=f"redis://:wr0ng-password@127.0.0.1:{redis}")
    result = hub("check", folder=tmp_path, jwt_secret=SECRET, bridges=wrong)
    assert result.status == 1
    assert "problem  bridge orders: Redis refuses orders: " in result.out
    assert "wr0ng-password" not in result.out + result.err

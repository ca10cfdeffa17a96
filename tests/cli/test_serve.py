"""``hub serve``: what it refuses, what it prints, and how it ends."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from websockets.asyncio.client import connect

from hub.cli.serve import dev_lines, open_to_pages, with_made_up_keys
from hub.settings import Settings

from ..support.server import JWT_SECRET, running_hub
from .command import hub

SECRET = "x" * 32


def test_without_a_key_it_does_not_start_and_says_how_to_set_one(tmp_path: Path) -> None:
    result = hub("serve", folder=tmp_path)
    assert (result.status, result.out) == (1, "")
    (line,) = result.err.splitlines()
    for name in ("HUB_JWT_SECRET", "HUB_JWT_PUBLIC_KEY", "HUB_JWKS_URL", "--dev"):
        assert name in line


def test_the_command_that_it_advises_makes_a_good_secret(tmp_path: Path) -> None:
    advice = hub("serve", folder=tmp_path).err
    found = re.search(r"\$\(python3 -c '(.+?)'\)\)", advice)
    assert found is not None
    secret = subprocess.run([sys.executable, "-c", found[1]], capture_output=True, text=True, check=True)
    result = hub("check", folder=tmp_path, jwt_secret=secret.stdout.strip())
    assert result.status == 0, result.out


@pytest.mark.parametrize(
    ("args", "settings", "words"),
    [
        (("--workers", "2"), {}, "--workers 2 needs redis://"),
        (("--broker", "kafka://x"), {}, "HUB_BROKER: unknown scheme kafka://"),
        (("--port", "70000"), {}, "--port: should be less than"),
        ((), {"jwt_secret": "short"}, "can be guessed"),
        ((), {"api_keys": '{"svc":"short"}'}, "the API key svc is too short"),
        ((), {"allowed_origins": '["app.example.com"]'}, "is no origin"),
        ((), {"trusted_proxies": '["10.0.0.0/33"]'}, "trusted proxies"),
        ((), {"node_secret": "short"}, "HUB_NODE_SECRET is too short"),
        ((), {"reconnect_min_ms": "9000", "reconnect_max_ms": "10"}, "HUB_RECONNECT_MIN_MS is above"),
    ],
)
def test_what_it_refuses_is_one_line(
    args: tuple[str, ...], settings: dict[str, str], words: str, tmp_path: Path
) -> None:
    result = hub("serve", *args, folder=tmp_path, **{"jwt_secret": SECRET, **settings})
    assert result.status == 1
    (line,) = result.err.splitlines()
    assert line.startswith("hub: ")
    assert words in line


def test_nodes_over_redis_need_a_secret_to_share(tmp_path: Path) -> None:
    result = hub(
        "serve", "--broker", "redis://127.0.0.1:1", folder=tmp_path, jwks_url="https://issuer.example/jwks"
    )
    assert "HUB_NODE_SECRET is missing" in result.err


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = hub("serve", "--port", str(port), folder=tmp_path, jwt_secret=SECRET)
    assert result.status == 1
    assert result.err.startswith(
        f"hub: can't listen on 127.0.0.1 port {port}: address already in use; --port "
    )
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order_and_its_log_is_short(how: signal.Signals) -> None:
    with running_hub() as running:
        httpx.get(
            f"{running.url}/livez?token=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl", trust_env=False
        )
        assert running.stop(how) == 0
        log = running.log()
    assert f"listening on {running.url}, broker memory://" in log
    assert "GET" not in log
    assert len(log.splitlines()) <= 4, log


def test_a_variable_that_is_no_setting_is_a_warning() -> None:
    with running_hub(jwt_secrt="x") as running:
        assert "HUB_JWT_SECRT is no setting; did you mean HUB_JWT_SECRET?" in running.log()


async def test_dev_prints_keys_and_a_line_for_wscat_that_work() -> None:
    given = Settings(port=1)
    settings = open_to_pages(with_made_up_keys(given))
    text = "\n".join(dev_lines(settings, given))
    secret = re.search(r"export HUB_JWT_SECRET=(\S+)", text)
    key = re.search(r"export HUB_API_KEY=(\S+)", text)
    line = re.search(r"npx wscat -c '(\S+)'", text)
    assert secret is not None
    assert key is not None
    assert line is not None
    with running_hub(jwt_secret=secret[1], api_keys={"dev": key[1]}) as running:
        address = line[1].replace("127.0.0.1:1/", f"127.0.0.1:{running.port}/")
        async with connect(address, proxy=None) as socket:
            assert '"user":"dev"' in str(await socket.recv())
        assert running.http(key[1]).get("/v1/connections").status_code == 200


def test_dev_prints_what_it_made_up_and_nothing_else() -> None:
    given = Settings(jwt_secret=JWT_SECRET, allowed_origins=["https://app.example.com"])
    text = "\n".join(dev_lines(open_to_pages(with_made_up_keys(given)), given))
    assert "export HUB_API_KEY=" in text
    for word in (JWT_SECRET, "eyJ", "HUB_JWT_SECRET", "wscat", "HUB_ALLOWED_ORIGINS"):
        assert word not in text
    given = Settings(jwt_secret=JWT_SECRET, api_keys={"a": "k" * 16})
    pages = "Pages from anywhere may connect: HUB_ALLOWED_ORIGINS is not set."
    assert dev_lines(open_to_pages(with_made_up_keys(given)), given) == ["", pages, ""]
    given = given.model_copy(update={"allowed_origins": ["https://app.example.com"]})
    assert dev_lines(open_to_pages(with_made_up_keys(given)), given) == []


def test_dev_keeps_keys_that_are_set() -> None:
    given = Settings(jwt_secret=SecretStr(JWT_SECRET), api_keys={"a": SecretStr("k" * 16)})
    settings = with_made_up_keys(given)
    assert (settings.jwt_secret, settings.api_keys) == (given.jwt_secret, given.api_keys)
    assert with_made_up_keys(Settings(jwks_url="https://issuer.example/jwks")).jwt_secret is None


def test_dev_serves_with_keys_of_its_own() -> None:
    with running_hub("--dev", jwt_secret=None, api_keys=None) as running:
        key = re.search(r"export HUB_API_KEY=(\S+)", running.log())
        assert key is not None
        body = {"channel": "job:1", "event": "x", "payload": 1}
        answer = running.http(key[1]).post(
            "/v1/publish", json=body, headers={"Origin": "https://any.example"}
        )
        assert answer.status_code == 200
        running.stop()
        # The token is for the person at the terminal, who asked for it; nothing of it is in a log line.
        printed, log = running.log().partition("hub: listening")[::2]
        assert "npx wscat -c 'ws://" in printed
        running._log_path.write_text(log)


def test_several_addresses() -> None:
    """As `0.0.0.0,::` for both families; here of one, which each machine has."""
    with running_hub("--host", "127.0.0.1, 127.0.0.2") as hub:
        for host in ("127.0.0.1", "127.0.0.2"):
            assert httpx.get(f"http://{host}:{hub.port}/livez", trust_env=False).status_code == 200


def test_an_address_of_ipv6_beside_one_of_ipv4() -> None:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("this machine has no IPv6")
    with running_hub("--host", "127.0.0.1,::1") as hub:
        assert httpx.get(f"http://[::1]:{hub.port}/livez", trust_env=False).status_code == 200
        assert httpx.get(f"http://127.0.0.1:{hub.port}/livez", trust_env=False).status_code == 200

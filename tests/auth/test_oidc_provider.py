"""A hub beside a real, certified provider: npm's oidc-provider (``make test-sources``)."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from ..cli.command import hub as command
from ..support.server import RunningHub, free_port, running_hub
from ..support.wire import connect, problem

pytestmark = pytest.mark.sources

FOLDER = Path(__file__).with_name("provider")
ROLES = {"operator": {"subscribe": ["job:*", "doc:{org}-1"]}, "sre": {"admin": "write"}}


@contextlib.contextmanager
def provider(port: int, kid: str) -> Iterator[str]:
    """Its issuer."""
    words = ["node", "serve.mjs", str(port), kid]
    process = subprocess.Popen(words, cwd=FOLDER, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.strip() == b"ready":
                break
        else:
            raise AssertionError("the provider did not start: npm ci --prefix tests/auth/provider?")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def access_token(issuer: str, client: str = "web") -> str:
    found = httpx.get(f"{issuer}/.well-known/openid-configuration", trust_env=False).json()
    body = {"grant_type": "client_credentials", "scope": "jobs"}
    answer = httpx.post(
        found["token_endpoint"], data=body, auth=(client, "a-secret-of-a-test"), trust_env=False
    )
    answer.raise_for_status()
    token: str = answer.json()["access_token"]
    return token


def settings(issuer: str) -> dict[str, Any]:
    return {
        "oidc_issuer": issuer,
        "jwt_audience": "https://hub.test",
        "oidc_clients": ["web"],
        "claim_roles": "realm_access.roles",
        "roles": ROLES,
    }


async def allowed(hub: RunningHub, token: str) -> None:
    async with connect(hub.ws_url, hub.secret(token)) as wire:
        assert wire.welcome["user"] == "web"
        assert (await wire.ask("subscribe", channel="job:1"))["type"] == "hub.subscribed"
        assert (await wire.ask("subscribe", channel="doc:acme-1"))["type"] == "hub.subscribed"
        # Its claim `hub` says that it may do everything, and does not count.
        assert (await wire.ask("subscribe", channel="doc:2"))["code"] == "forbidden"
    assert hub.http(token).post("/v1/disconnect", json={"user": "web"}).status_code == 403


async def test_roles_and_a_rotation_of_keys() -> None:
    port = free_port()
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(contextlib.ExitStack())
        issuer = first.enter_context(provider(port, "k1"))
        hub = stack.enter_context(running_hub(**settings(issuer)))
        old = access_token(issuer)
        await allowed(hub, old)
        with pytest.raises(InvalidStatus) as refused:
            async with connect(hub.ws_url, hub.secret(access_token(issuer, "other"))):
                pass
        assert "azp" in problem(refused.value)["detail"]
        first.close()
        await allowed(hub, old)  # a provider that is away changes nothing for known keys
        stack.enter_context(provider(port, "k2"))
        await allowed(hub, access_token(issuer))
        with pytest.raises(InvalidStatus) as refused:
            async with connect(hub.ws_url, old):
                pass
        assert problem(refused.value)["code"] == "token_invalid"
        # The hub's own secret goes on beside it: a backend's channel tokens.
        async with connect(hub.ws_url, hub.secret(access_token(issuer))) as wire:
            claims = {"channel": "doc:2", "aud": "https://hub.test"}
            reply = await wire.ask("subscribe", channel="doc:2", token=hub.token("web", claims=claims))
            assert reply["type"] == "hub.subscribed"


def test_check_and_explain(tmp_path: Path) -> None:
    with provider(free_port(), "k1") as issuer:
        given = {**settings(issuer), "jwt_secret": ""}
        found = command("check", folder=tmp_path, **_text(given))
        assert (found.status, found.err) == (0, "")
        assert f"{issuer} was discovered, and its key set fetched" in found.out
        told = command("explain-token", access_token(issuer), folder=tmp_path, **_text(given))
        assert told.status == 0
        assert "role operator grants subscribe job:*, subscribe doc:acme-1" in told.out
        wrong = command("check", folder=tmp_path, **_text({**given, "oidc_issuer": f"{issuer}/nowhere"}))
        assert wrong.status == 1
        assert "HUB_OIDC_ISSUER: the key set can't be had: the endpoint answered HTTP 404" in wrong.out


def _text(given: dict[str, Any]) -> dict[str, str]:
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}

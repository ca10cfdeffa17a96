"""A hub beside a real Keycloak, whose realm's roles give grants: ``make keycloak``. It starts in half a minute."""

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from ...cli.command import hub as command
from ...support.pace import SCALE
from ...support.server import RunningHub, free_port, running_hub
from ...support.wire import connect, problem

ROOT = Path(__file__).parents[3]
START_S = 600.0  # the first one compiles its configuration
ROLES = {"operator": {"subscribe": ["job:*", "doc:{org}-1"]}, "sre": {"admin": "write"}}


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A realm of the server in ``build/keycloak``, made anew."""
    (home,) = (each for each in (ROOT / "build" / "keycloak").iterdir() if each.is_dir())
    shutil.rmtree(home / "data", ignore_errors=True)
    (home / "data" / "import").mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("realm.json"), home / "data" / "import")
    port = free_port()
    words = ["bash", str(home / "bin" / "kc.sh"), "start-dev", "--import-realm", "--http-host=127.0.0.1"]
    log_path = tmp_path_factory.mktemp("keycloak") / "log"
    with log_path.open("wb") as log:
        process = subprocess.Popen([*words, f"--http-port={port}"], stdout=log, stderr=log)
    try:
        found = f"http://127.0.0.1:{port}/realms/hub"
        deadline = time.monotonic() + START_S * SCALE
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{found}/.well-known/openid-configuration", trust_env=False).is_success:
                    break
            assert process.poll() is None, log_path.read_text()
            assert time.monotonic() < deadline, log_path.read_text()
            time.sleep(0.5)
        yield found
    finally:
        process.terminate()
        process.wait(60)


def settings(issuer: str) -> dict[str, Any]:
    return {
        "oidc_issuer": issuer,
        "jwt_audience": "https://hub.test",
        "oidc_clients": ["web"],
        "claim_roles": "realm_access.roles",
        "claim_user": "preferred_username",  # users can't edit it: `editUsernameAllowed` is off, as it ships
        "roles": ROLES,
    }


@pytest.fixture(scope="module")
def hub(issuer: str) -> Iterator[RunningHub]:
    with running_hub(**settings(issuer)) as running:
        yield running


def token(issuer: str, user: str, client: str = "web") -> str:
    body = {"grant_type": "password", "username": user, "password": "pw", "scope": "openid"}
    answer = httpx.post(
        f"{issuer}/protocol/openid-connect/token",
        data=body,
        auth=(client, "a-secret-of-a-test"),
        timeout=60 * SCALE,
        trust_env=False,
    )
    assert answer.is_success, answer.text
    found: str = answer.json()["access_token"]
    return found


async def test_a_role_gives_grants_with_a_claim_in_them(issuer: str, hub: RunningHub) -> None:
    async with connect(hub.ws_url, hub.secret(token(issuer, "ann"))) as wire:
        assert wire.welcome["user"] == "ann"
        for channel in ("job:1", "doc:acme-1"):
            assert (await wire.ask("subscribe", channel=channel))["type"] == "hub.subscribed", channel
        # Her attribute `org` has a star beside acme: that is no segment, and gives nothing.
        for channel in ("doc:other-1", "doc:acme-2"):
            assert (await wire.ask("subscribe", channel=channel))["code"] == "forbidden", channel


async def test_a_role_without_grants_gives_none(issuer: str, hub: RunningHub) -> None:
    async with connect(hub.ws_url, hub.secret(token(issuer, "bob"))) as wire:
        assert wire.welcome["user"] == "bob"
        assert (await wire.ask("subscribe", channel="job:1"))["code"] == "forbidden"


def test_a_role_makes_an_admin(issuer: str, hub: RunningHub) -> None:
    for user, status in (("eve", 200), ("ann", 403)):
        http = hub.http(hub.secret(token(issuer, user)))
        assert http.post("/v1/disconnect", json={"user": "nobody"}).status_code == status, user


async def test_another_application_of_the_realm(issuer: str, hub: RunningHub) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(hub.ws_url, hub.secret(token(issuer, "ann", "other"))):
            pass
    assert problem(refused.value)["code"] == "token_invalid"


def test_check_and_explain(issuer: str, tmp_path: Path) -> None:
    given = {**settings(issuer), "jwt_secret": ""}
    words = {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}
    found = command("check", folder=tmp_path, **words)
    assert (found.status, found.err) == (0, "")
    assert f"{issuer} was discovered, and its key set fetched" in found.out
    told = command("explain-token", token(issuer, "ann"), folder=tmp_path, **words)
    assert told.status == 0
    assert "role operator grants subscribe job:*, subscribe doc:acme-1" in told.out

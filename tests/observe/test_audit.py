"""The audit log: told before it is done, within a second or not at all, and rotated by others."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub.auth.identity import Identity
from hub.observe import audit as module
from hub.observe.audit import Action, AuditLog
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.settings import Settings, told

from ..support.pace import SCALE
from ..support.server import API_KEY, JWT_SECRET, running_hub

ACTION = Action("disconnect", "key:ops", "10.0.0.9", {"user": "bob"})


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def until(path: Path, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(10 * SCALE):
        while not path.exists() or len(found := lines(path)) < count:
            await asyncio.sleep(0.01)
    return found


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[tuple[AuditLog, Path]]:
    path = tmp_path / "audit.log"
    made = AuditLog("n_1", str(path))
    made.start({"port": 8000})
    yield made, path
    await made.close()


async def test_it_is_told_before_it_is_done(log: tuple[AuditLog, Path]) -> None:
    audit, path = log
    async with audit.about(ACTION):
        told_before = lines(path)
    started, accepted = told_before
    assert (started["action"], started["settings"], started["node"]) == ("started", {"port": 8000}, "n_1")
    assert accepted.pop("time").endswith("+00:00")
    assert accepted == {
        "node": "n_1",
        "action": "disconnect",
        "who": "key:ops",
        "from": "10.0.0.9",
        "what": {"user": "bob"},
        "result": "accepted",
    }
    assert oct(path.stat().st_mode & 0o777) == "0o600"


async def test_what_failed_and_what_was_forbidden_is_told(log: tuple[AuditLog, Path]) -> None:
    audit, path = log
    with pytest.raises(HubError):
        async with audit.about(ACTION):
            raise HubError(ErrorCode.UNAVAILABLE, "the storage is away")
    audit.refused(ACTION, HubError(ErrorCode.FORBIDDEN, 'not you\n{"action":"fake"}'))
    found = await until(path, 4)
    assert [(each.get("result"), each.get("code")) for each in found[1:]] == [
        ("accepted", None),
        ("failed", "unavailable"),
        ("refused", "forbidden"),
    ]
    assert found[3]["reason"] == 'not you?{"action":"fake"}', "no line of somebody else's making"


async def test_keys_and_refused_logins_are_told_once_and_then_counted(tmp_path: Path) -> None:
    now = 1000.0
    path = tmp_path / "audit.log"
    audit = AuditLog("n_1", str(path), lambda: now)
    audit.start({})
    key = Identity("backend", float("inf"), None, name="key:backend")  # type: ignore[arg-type]
    for _ in range(5):
        audit.used(key, "10.0.0.1")
        audit.login_refused(ErrorCode.TOKEN_INVALID, "10.0.0.2")
    now += 61
    audit.used(key, "10.0.0.1")
    await audit.close()
    found = lines(path)
    assert [each["action"] for each in found] == [
        "started",
        "key_used",
        "login_refused",
        "keys_used",
        "logins_refused",
        "stopped",
    ]
    assert found[3]["counts"] == [["key:backend", "10.0.0.1", 5]]
    assert found[4]["counts"] == [["token_invalid", "10.0.0.2", 4]]


async def test_a_flood_of_strangers_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING", 50)
    audit = AuditLog("n_1", str(tmp_path / "audit.log"))
    for number in range(5000):
        audit.login_refused(ErrorCode.TOKEN_INVALID, f"10.0.{number // 250}.{number % 250}")
    assert len(audit._refused) <= 51
    assert audit._refused["token_invalid", "others"] == 4950
    assert audit._writer._queue.qsize() <= 1000


async def test_it_goes_on_in_a_new_file_when_the_old_one_is_moved(log: tuple[AuditLog, Path]) -> None:
    audit, path = log
    async with audit.about(ACTION):
        path.rename(path.with_suffix(".1"))
    async with audit.about(ACTION):
        pass
    assert [each["action"] for each in lines(path)] == ["disconnect"]
    assert len(lines(path.with_suffix(".1"))) == 2


async def test_an_action_that_can_not_be_told_is_not_done_unless_it_ends_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe whose reader stands still."""
    monkeypatch.setattr(module, "WITHIN_S", 0.05)
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    audit = AuditLog("n_1", str(fifo))
    audit.start({"long": "x" * 6000})
    try:
        async with asyncio.timeout(30 * SCALE):
            while await accepted(audit):
                for _ in range(50):
                    audit.refused(ACTION, HubError(ErrorCode.FORBIDDEN, "x" * 300))
        done = []
        async with audit.about(ACTION, goes_ahead=True):
            done.append("drained")
        assert done == ["drained"]
        assert audit.missed >= 2
    finally:
        os.set_blocking(reader, True)
        closing = asyncio.create_task(asyncio.to_thread(_read_all, reader))
        await audit.close()
        os.close(audit._writer._fd)
        await closing


async def accepted(audit: AuditLog) -> bool:
    """Whether an action was told in time."""
    try:
        async with audit.about(ACTION):
            return True
    except HubError as error:
        return error.code is not ErrorCode.UNAVAILABLE


def _read_all(reader: int) -> None:
    while os.read(reader, 65536):
        pass
    os.close(reader)


def test_nothing_secret_of_the_settings_is_told() -> None:
    settings = Settings(
        jwt_secret=JWT_SECRET,
        api_keys={"backend": API_KEY, "ops": {"key": "another-key-0123456789", "admin": "write"}},
        broker="redis://hub:secret-of-redis@10.0.0.1:6379",
        hooks=[{"name": "github", "secret": "secret-of-the-hook"}],
        namespaces={"chat": {"mode": "log", "client_publish": True}},
        port=9000,
    )
    found = told(settings)
    assert found["jwt_secret"] == "set"
    assert found["api_keys"] == ["backend", "ops"]
    assert (found["broker"], found["hooks"], found["port"]) == ("redis://10.0.0.1:6379", 1, 9000)
    assert found["namespaces"]["chat"] == {"client_publish": True}
    text = json.dumps(found)
    assert "secret-of" not in text
    assert API_KEY not in text
    assert "another-key" not in text


def test_a_running_hub_tells_what_is_done_to_it(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    ops = "ops-key-of-the-test-0123456789"
    keys = {"backend": API_KEY, "ops": {"key": ops, "admin": "write"}}
    with running_hub(api_keys=keys, audit=str(path)) as hub:
        http = hub.http(hub.secret(ops))
        assert http.post("/v1/disconnect", json={"user": "bob\n"}).status_code == 200
        assert http.post("/v1/revoke", json={"jti": "j1"}).status_code == 200
        assert hub.http(hub.token("ann")).post("/v1/revoke", json={"jti": "j1"}).status_code == 403
        assert hub.http("no-key-at-all").post("/v1/revoke", json={}).status_code == 401
        assert http.post("/v1/drain").status_code == 202
        assert hub.process.wait(30 * SCALE) == 0
    found = lines(path)
    told_of = [(each["action"], each.get("who"), each.get("result")) for each in found]
    assert told_of == [
        ("started", None, None),
        ("key_used", None, None),
        ("disconnect", "key:ops", "accepted"),
        ("revoke", "key:ops", "accepted"),
        ("POST /v1/revoke", "ann", "refused"),
        ("login_refused", None, None),
        ("drain", "key:ops", "accepted"),
        ("keys_used", None, None),
        ("stopped", None, None),
    ]
    assert found[2]["what"] == {"user": "bob?", "connection": None, "reconnect": False}
    text = path.read_text()
    assert ops not in text
    assert JWT_SECRET not in text

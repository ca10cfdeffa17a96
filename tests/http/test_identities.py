"""Who asks: keys, tokens, services; and what a user may do over HTTP, which is what its socket may."""

from typing import Any

import jwt
import pytest

from ..support.server import JWT_SECRET, RunningHub, running_hub
from ..support.wire import connect
from .test_publish import refused

PUBLISH = "/v1/publish"


def event(channel: str, **fields: Any) -> dict[str, Any]:
    """A publication's body."""
    return {"channel": channel, "event": "edit", "payload": 1, **fields}


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic abc", "token"])
def test_without_credentials(hub: RunningHub, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = hub.http(None).post(PUBLISH, json=event("job:1"), headers=headers)
    refused(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == 'Bearer realm="hub"'


def test_bad_tokens_are_refused_in_exact_words(hub: RunningHub) -> None:
    claims = {"sub": "ann", "exp": 4_000_000_000}
    good = hub.token("ann")
    for token, code, words in (
        ("no-such-key-and-no-token", "token_invalid", "three parts"),
        (hub.token("ann", ttl=-60), "token_expired", "expired"),
        (jwt.encode(claims, "x" * 32, "HS256"), "token_invalid", "signature"),
        (jwt.encode(claims, "", "none"), "token_invalid", "none"),
        (jwt.encode({"sub": "ann"}, JWT_SECRET, "HS256"), "token_invalid", "exp"),
        (good[:-4] + "AAAA", "token_invalid", "signature"),
    ):
        answer = hub.http(hub.secret(token)).post(PUBLISH, json=event("job:1"))
        problem = refused(answer, 401, code)
        assert words.lower() in problem["reason"].lower()
        assert token not in answer.text
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_the_scheme_is_read_in_any_case(hub: RunningHub) -> None:
    headers = {"Authorization": f"bearer   {hub.api_key}"}
    assert hub.http(None).post(PUBLISH, json=event("job:case"), headers=headers).status_code == 200


def test_a_user_publishes_as_on_its_socket(hub: RunningHub) -> None:
    http = hub.http(hub.token("ann", publish=["doc:*", "job:*"], subscribe=["doc:*"]))
    assert http.post(PUBLISH, json=event("doc:mine")).status_code == 200
    problem = refused(http.post(PUBLISH, json=event("job:1")), 403, "forbidden")
    assert "only services publish" in problem["reason"]
    elsewhere = hub.http(hub.token("ann", publish=["doc:7"]))
    problem = refused(elsewhere.post(PUBLISH, json=event("doc:8")), 403, "forbidden")
    assert "no grant" in problem["reason"]
    (stored,) = http.get("/v1/channels/doc:mine/history").json()["events"]
    assert stored["from"] == "ann"


def test_a_user_cannot_say_who_it_is(hub: RunningHub) -> None:
    http = hub.http(hub.token("ann", publish=["doc:*"], subscribe=["doc:*"]))
    http.post(PUBLISH, json={**event("doc:from"), "from": "bob", "sender": "bob"})
    (stored,) = http.get("/v1/channels/doc:from/history").json()["events"]
    assert stored["from"] == "ann"


def test_leases_need_a_service(hub: RunningHub) -> None:
    with running_hub(namespaces={"task": {"mode": "state", "client_publish": True}}) as own:
        user = own.http(own.token("ann", publish=["task:*"]))
        body = event("task:1", key="k", lease_ms=1000)
        problem = refused(user.post(PUBLISH, json=body), 403, "forbidden")
        assert "lease" in problem["reason"]
        assert own.http().post(PUBLISH, json=body).status_code == 200


def test_a_service_token_is_a_service(hub: RunningHub) -> None:
    http = hub.http(hub.token("worker", service=True))
    assert http.post(PUBLISH, json=event("job:svc", key="k", lease_ms=60_000)).status_code == 200
    (stored,) = http.get("/v1/channels/job:svc/history").json()["events"]
    assert "from" not in stored
    assert http.get("/v1/connections").status_code == 200


def test_a_service_token_with_grants_keeps_to_them(hub: RunningHub) -> None:
    http = hub.http(hub.token("worker", service=True, publish=["job:*"]))
    assert http.post(PUBLISH, json=event("job:svc2")).status_code == 200
    refused(http.post(PUBLISH, json=event("doc:svc2")), 403, "forbidden")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/disconnect", {"user": "ann"}),
        ("POST", "/v1/revoke", {"sub": "ann"}),
        ("POST", "/v1/drain", {}),
        ("GET", "/v1/connections", None),
    ],
)
def test_what_only_services_do(hub: RunningHub, method: str, path: str, body: Any) -> None:
    user = hub.http(hub.token("ann", publish=["*"], subscribe=["*"], presence=["*"]))
    refused(user.request(method, path, json=body), 403, "forbidden")
    refused(hub.http(None).request(method, path, json=body), 401, "unauthenticated")


@pytest.mark.parametrize("tail", ["", "/history", "/snapshot", "/presence"])
def test_reading_needs_a_grant(hub: RunningHub, tail: str) -> None:
    channel = "doc:secret" if tail == "/presence" else "job:secret"
    nobody = hub.http(hub.token("ann", subscribe=["job:other"], presence=["doc:other"]))
    refused(nobody.get(f"/v1/channels/{channel}{tail}"), 403, "forbidden")
    reader = hub.http(hub.token("ann", subscribe=["job:*"], presence=["doc:*"]))
    assert reader.get(f"/v1/channels/{channel}{tail}").status_code == 200


def test_a_user_reads_its_own_channel(hub: RunningHub) -> None:
    assert hub.http(hub.token("cleo")).get("/v1/channels/user:cleo").status_code == 200
    refused(hub.http(hub.token("cleo")).get("/v1/channels/user:dan"), 403, "forbidden")


def test_the_publishing_rate_of_a_user() -> None:
    rules = {"chat": {"mode": "log", "client_publish": True, "publish_rate": 0.5, "publish_burst": 3}}
    with running_hub(namespaces=rules) as hub:
        user = hub.http(hub.token("ann", publish=["*"]))
        answers = [user.post(PUBLISH, json=event("chat:1")) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        problem = refused(answers[3], 429, "rate_limited")
        assert 0 < problem["retry_after_ms"] <= 2001
        assert problem["retry"] is True
        seconds = int(answers[3].headers["retry-after"])
        assert (seconds - 1) * 1000 < problem["retry_after_ms"] <= seconds * 1000
        # Another namespace, another user and services have rates of their own.
        assert user.post(PUBLISH, json=event("doc:1")).status_code == 200
        other = hub.http(hub.token("bob", publish=["*"]))
        results = other.post("/v1/batch", json={"events": [event("chat:1")] * 5}).json()["results"]
        assert [result.get("code", "ok") for result in results] == ["ok"] * 3 + ["rate_limited"] * 2
        assert results[4]["retry_after_ms"] > 0
        service = hub.http().post("/v1/batch", json={"events": [event("chat:1")] * 50}).json()["results"]
        assert not any("code" in result for result in service)


def test_the_rate_of_a_users_requests() -> None:
    with running_hub(command_rate=0.5, command_burst=3) as hub:
        user = hub.http(hub.token("ann"))
        answers = [user.get("/v1/channels/user:ann") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        refused(answers[3], 429, "rate_limited")
        service = hub.http()
        assert {service.get("/v1/channels/user:ann").status_code for _ in range(8)} == {200}


async def test_a_ticket_is_good_once(hub: RunningHub) -> None:
    answer = hub.http(hub.token("ann", subscribe=["job:*"])).post("/v1/tickets")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    ticket, expires_in = hub.secret(answer.json()["ticket"]), answer.json()["expires_in"]
    assert 1 <= expires_in <= 30
    async with connect(hub.ws_url, ticket, place="ticket") as wire:
        assert wire.welcome["user"] == "ann"
        assert (await wire.ask("subscribe", channel="job:ticket"))["type"] == "hub.subscribed"
    again = hub.http(None).get(
        "/ws",
        params={"ticket": ticket},
        headers={
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version": "13",
        },
    )
    problem = refused(again, 401, "token_invalid")
    assert "used before" in problem["reason"]
    assert ticket not in again.text


async def test_a_ticket_lives_no_longer_than_its_token(hub: RunningHub) -> None:
    answer = hub.http(hub.token("ann", ttl=5)).post("/v1/tickets")
    assert answer.json()["expires_in"] <= 5


async def test_a_service_gets_a_ticket_too(hub: RunningHub) -> None:
    ticket = hub.secret(hub.http().post("/v1/tickets").json()["ticket"])
    async with connect(hub.ws_url, ticket, place="ticket") as wire:
        assert isinstance(wire.welcome["expires_at"], int)
        assert (await wire.ask("subscribe", channel="job:by-key"))["type"] == "hub.subscribed"

"""Webhooks in: once by delivery, refused without a hint, kept where they can't be published, sent again while
the storage is away."""

import base64
import hmac
import json
import time
from collections.abc import Callable

import httpx
import pytest

from ..broker.redis.servers import RedisServer
from ..support.server import RunningHub, running_hub
from .conftest import OLD, SECRET, SETTINGS, STANDARD, letters, payloads

Sign = Callable[[bytes, str, str, int], dict[str, str]]


def _digest(secret: str, content: bytes, how: str = "sha256") -> bytes:
    return hmac.digest(secret.encode(), content, how)


def standard(body: bytes, id: str, secret: str, now: int) -> dict[str, str]:
    key = base64.b64decode((STANDARD if secret == SECRET else secret).removeprefix("whsec_") + "==")
    found = base64.b64encode(hmac.digest(key, f"{id}.{now}.".encode() + body, "sha256")).decode()
    return {"webhook-id": id, "webhook-timestamp": str(now), "webhook-signature": f"v1a,x v1,{found}"}


def github(body: bytes, id: str, secret: str, now: int) -> dict[str, str]:
    found = "sha256=" + _digest(secret, body).hex()
    return {"X-Hub-Signature-256": found, "X-GitHub-Delivery": id, "X-GitHub-Event": "changed"}


def stripe(body: bytes, id: str, secret: str, now: int) -> dict[str, str]:
    found = _digest(secret, f"{now}.".encode() + body).hex()
    return {"Stripe-Signature": f"t={now},v1={'0' * 64},v1={found},v0=x"}


def slack(body: bytes, id: str, secret: str, now: int) -> dict[str, str]:
    found = "v0=" + _digest(secret, f"v0:{now}:".encode() + body).hex()
    return {"X-Slack-Request-Timestamp": str(now), "X-Slack-Signature": found}


def own(body: bytes, id: str, secret: str, now: int) -> dict[str, str]:
    found = base64.b64encode(_digest(secret, f"{now}.".encode() + body, "sha512")).decode()
    return {"X-Signature": f"sha512={found}", "X-Delivery": id, "X-Time": str(now)}


SIGNS: dict[str, Sign] = {
    "standard": standard,
    "github": github,
    "stripe": stripe,
    "slack": slack,
    "own": own,
}
DATED = sorted(SIGNS.keys() - {"github"})


def body_of(order: str, n: int, **more: object) -> bytes:
    fields = {"order": order, "what": "changed", "n": n, "id": f"id-{n}", "event_id": f"id-{n}", **more}
    return json.dumps(fields).encode()


def send(
    hub: RunningHub,
    kind: str,
    body: bytes,
    id: str = "d1",
    secret: str = SECRET,
    now: int | None = None,
    **more: str,
) -> httpx.Response:
    headers = SIGNS[kind](body, id, secret, now if now is not None else int(time.time()))
    return hub.http(None).post(f"/v1/hooks/{kind}", content=body, headers={**headers, **more})


@pytest.mark.parametrize("kind", SIGNS)
def test_a_delivery_is_stored_once_however_often_it_is_sent(hub: RunningHub, kind: str) -> None:
    for n in (1, 1, 2):
        answer = send(hub, kind, body_of(f"once-{kind}", n), f"d{n}")
        assert (answer.status_code, answer.json()) == (202, {"outcome": "stored"})
    assert payloads(hub, f"job:once-{kind}") == [1, 2]


@pytest.mark.parametrize("kind", sorted(SIGNS.keys() - {"standard"}))
def test_the_secret_before_is_good_while_both_are_set(hub: RunningHub, kind: str) -> None:
    assert send(hub, kind, body_of(f"old-{kind}", 1), secret=OLD).status_code == 202


@pytest.mark.parametrize("kind", SIGNS)
def test_a_wrong_signature_is_refused_without_a_hint(hub: RunningHub, kind: str) -> None:
    body, now = body_of(f"wrong-{kind}", 1), int(time.time())
    good = SIGNS[kind](body, "d1", SECRET, now)
    other = base64.b64encode(b"x" * 32).decode() if kind == "standard" else "x" * 32
    attempts = [
        {},
        SIGNS[kind](body, "d1", other, now),
        SIGNS[kind](body + b" ", "d1", SECRET, now),
        dict.fromkeys(good, "garbage"),
        dict.fromkeys(good, ""),
        {name: f"\xff{value}" for name, value in good.items()},
    ]
    http = hub.http(None)
    raw = [[(name.encode(), value.encode("latin-1")) for name, value in each.items()] for each in attempts]
    answers = [http.post(f"/v1/hooks/{kind}", content=body, headers=each) for each in raw]
    twice = [(name, value) for name, value in good.items() for _ in range(2)]
    answers.append(http.post(f"/v1/hooks/{kind}", content=body, headers=twice))
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.json()["reason"] for answer in answers}) == 1
    assert payloads(hub, f"job:wrong-{kind}") == []


@pytest.mark.parametrize("kind", DATED)
@pytest.mark.parametrize("off", [-400, 400, 86_400])
def test_of_yesterday_or_tomorrow_is_refused(hub: RunningHub, kind: str, off: int) -> None:
    assert send(hub, kind, body_of("late", 1), now=int(time.time()) + off).status_code == 401


def test_what_can_not_be_published_is_kept_and_answered(hub: RunningHub) -> None:
    bodies = [b"{", b"\xff\xfe", b"", b"null", b'{"order":"has space","what":"x","n":1}', b'{"what":"x"}']
    bodies += [json.dumps({"order": "big", "what": "x", "n": "x" * 70_000}).encode()]
    for number, body in enumerate(bodies):
        answer = send(hub, "github", body, f"bad-{number}")
        assert (answer.status_code, answer.json()["outcome"]) == (202, "kept as a dead letter"), body[:50]
        assert send(hub, "github", body, f"bad-{number}").status_code == 202, "sent again"
    found = letters(hub, "github:hook@bad-")
    assert sorted(letter["origin"] for letter in found) == [
        f"github:hook@bad-{number}" for number in range(len(bodies))
    ]


def test_the_filter_leaves_out(hub: RunningHub) -> None:
    answer = send(hub, "github", body_of("quiet", 1, what="noise"))
    assert answer.json() == {"outcome": "left out"}
    assert payloads(hub, "job:quiet") == []


def test_slack_hears_its_challenge_again(hub: RunningHub) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "3eZbrw1aB"}).encode()
    assert send(hub, "slack", body).json() == {"challenge": "3eZbrw1aB"}
    assert hub.http(None).post("/v1/hooks/slack", content=body).status_code == 401


def test_a_name_that_is_no_hook(hub: RunningHub) -> None:
    assert hub.http(None).post("/v1/hooks/nobody", content=b"{}").status_code == 404


def test_a_body_that_is_too_long_is_not_read(hub: RunningHub) -> None:
    assert send(hub, "github", b"x" * 1_000_000).status_code == 413


async def test_while_the_storage_is_away_the_sender_is_to_repeat_it(redis: RedisServer) -> None:
    with running_hub(**SETTINGS, broker=redis.url) as hub:
        assert send(hub, "github", body_of("away", 1), "d1").status_code == 202
        await redis.stop()
        answer = send(hub, "github", body_of("away", 2), "d2")
        assert answer.status_code == 503
        assert "retry-after" in answer.headers
        kept = send(hub, "github", b"{", "d3")
        assert kept.status_code == 503, "a dead letter can't be kept either"
        await redis.start()
        deadline = time.monotonic() + 60
        while (answer := send(hub, "github", body_of("away", 2), "d2")).status_code != 202:
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.1)
        assert send(hub, "github", body_of("away", 2), "d2").status_code == 202
        assert payloads(hub, "job:away")[-1:] == [2]
        assert payloads(hub, "job:away").count(2) == 1

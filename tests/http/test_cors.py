"""Pages of other origins: who may read answers."""

import pytest

from ..support.server import RunningHub, running_hub

ALLOWED = ["https://app.example.com", "http://localhost:3000", "https://*.example.org"]
ASK = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


@pytest.fixture(scope="module")
def shop() -> object:
    with running_hub(allowed_origins=ALLOWED) as running:
        yield running


@pytest.mark.parametrize(
    "origin", ["https://app.example.com", "http://localhost:3000", "https://a.b.example.org"]
)
def test_an_allowed_origin(shop: RunningHub, origin: str) -> None:
    http = shop.http()
    preflight = http.options("/v1/publish", headers={"Origin": origin, **ASK})
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == origin
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in preflight.headers
    for answer in (
        http.get("/v1/channels/job:1", headers={"Origin": origin}),
        http.get("/v1/channels/nope:1", headers={"Origin": origin}),
        http.get("/nothing", headers={"Origin": origin}),
    ):
        assert answer.headers["access-control-allow-origin"] == origin
        assert "retry-after" in answer.headers["access-control-expose-headers"].lower()
        assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com:444",
        "https://example.org",
        "https://app.example.com.evil.example",
        "null",
        "",
    ],
)
def test_a_foreign_origin(shop: RunningHub, origin: str) -> None:
    preflight = shop.http().options("/v1/publish", headers={"Origin": origin, **ASK})
    assert preflight.status_code == 403
    assert preflight.json()["code"] == "forbidden"
    answer = shop.http().get("/v1/channels/job:1", headers={"Origin": origin})
    for each in (preflight, answer):
        assert "access-control-allow-origin" not in each.headers
        assert each.headers["vary"] == "Origin"


def test_without_an_origin_nothing_is_added(shop: RunningHub) -> None:
    answer = shop.http().get("/livez")
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_every_origin() -> None:
    with running_hub(allowed_origins=["*"]) as hub:
        answer = hub.http().get("/livez", headers={"Origin": "https://any.example"})
        assert answer.headers["access-control-allow-origin"] == "https://any.example"


def test_by_default_ones_own_pages(hub: RunningHub) -> None:
    own = hub.http().get("/livez", headers={"Origin": hub.url})
    assert own.headers["access-control-allow-origin"] == hub.url
    other = hub.http().get("/livez", headers={"Origin": "http://127.0.0.1:1"})
    assert "access-control-allow-origin" not in other.headers

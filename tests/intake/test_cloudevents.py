"""CloudEvents 1.0 over HTTP: the three modes, the handshake, and what is none."""

import json
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from ..support.server import RunningHub
from .conftest import events, payloads

STRUCTURED = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
BATCHED = {"Content-Type": "application/cloudevents-batch+json"}
PATHS = ["/v1/cloudevents", "/v1/publish"]


def event(subject: str, **more: Any) -> dict[str, Any]:
    fields = {"specversion": "1.0", "id": "a", "source": "/orders", "type": "com.example.paid"}
    return {**fields, "subject": f"job:{subject}", "data": {"n": 1}, **more}


@pytest.mark.parametrize("path", PATHS)
def test_structured(hub: RunningHub, path: str) -> None:
    body = json.dumps(event(f"structured{path[4:]}".replace("/", ".")))
    for _ in range(2):
        answer = hub.http().post(path, content=body, headers=STRUCTURED)
        assert answer.status_code == 200, answer.text
    channel = json.loads(body)["subject"]
    assert answer.json()["channel"] == channel
    (found,) = events(hub, channel)
    assert (found["type"], found["payload"]) == ("com.example.paid", {"n": 1})


@pytest.mark.parametrize("path", PATHS)
def test_binary(hub: RunningHub, path: str) -> None:
    channel = f"job:binary{path[4:]}"
    channel = channel.replace("/", ".")
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "a",
        "ce-source": "/orders/%E2%82%AC",
        "ce-type": "paid",
        "ce-subject": channel,
    }
    for _ in range(2):
        answer = hub.http().post(
            path, content=b'{"n":1}', headers={**headers, "Content-Type": "application/json"}
        )
        assert answer.status_code == 200, answer.text
    assert payloads(hub, channel) == [{"n": 1}]
    hub.http().post(path, content=b"\xff", headers={**headers, "ce-id": "b", "Content-Type": "image/png"})
    hub.http().post(path, content=b"", headers={**headers, "ce-id": "c"})
    assert payloads(hub, channel) == [{"n": 1}, "/w==", None]


@pytest.mark.parametrize("path", PATHS)
def test_batched_in_order_and_again_as_a_whole(hub: RunningHub, path: str) -> None:
    name = f"batched{path[4:]}".replace("/", ".")
    some = [event(name, id=str(n), data=n) for n in range(5)]
    for batch in (some[:3], some):
        answer = hub.http().post(path, json=batch, headers=BATCHED)
        assert len(answer.json()["results"]) == len(batch)
    assert payloads(hub, f"job:{name}") == [0, 1, 2, 3, 4]
    assert hub.http().post(path, json=[], headers=BATCHED).json() == {"results": []}


def test_source_and_id_together_are_the_identity(hub: RunningHub) -> None:
    for source in ("/a", "/b", "/" + "long" * 100, "/b"):
        sent = event("identity", source=source, data=source[:4])
        assert hub.http().post("/v1/cloudevents", json=sent, headers=STRUCTURED).status_code == 200
    assert payloads(hub, "job:identity") == ["/a", "/b", "/lon"]


@pytest.mark.parametrize("missing", ["id", "source", "type", "specversion"])
def test_an_event_without_what_it_needs_is_refused_in_words(hub: RunningHub, missing: str) -> None:
    sent = event("lacking")
    del sent[missing]
    for body, headers in ((sent, STRUCTURED), ([event("lacking"), sent], BATCHED)):
        answer = hub.http().post("/v1/cloudevents", json=body, headers=headers)
        assert answer.status_code == 400
        assert missing in answer.json()["reason"]
    lacking = {f"ce-{name}": str(value) for name, value in sent.items() if name != "data"}
    answer = hub.http().post("/v1/cloudevents", content=b"1", headers=lacking)
    assert answer.status_code == 400
    assert payloads(hub, "job:lacking") == [], "nothing of a batch that is wrong"


@pytest.mark.parametrize(
    "body", [b"", b"[", b"1", b"\xff", b"[1]", b'{"traceparent":5}', b'{"specversion":1,"id":[]}']
)
def test_what_is_no_event(hub: RunningHub, body: bytes) -> None:
    for headers in (STRUCTURED, BATCHED, {"Content-Type": "text/plain"}):
        assert hub.http().post("/v1/cloudevents", content=body, headers=headers).status_code == 400


def test_a_trace_that_is_no_text_is_looked_over(hub: RunningHub) -> None:
    sent = event("trace", traceparent=5)
    assert hub.http().post("/v1/cloudevents", json=sent, headers=STRUCTURED).status_code == 200


def test_rights_are_those_of_the_sender(hub: RunningHub) -> None:
    sent = event("rights")
    assert hub.http(None).post("/v1/cloudevents", json=sent, headers=STRUCTURED).status_code == 401
    ann = hub.http(hub.token("ann", publish=["job:*"]))
    assert ann.post("/v1/cloudevents", json=sent, headers=STRUCTURED).status_code == 403
    assert payloads(hub, "job:rights") == []


def test_a_plain_publication_is_one_still(hub: RunningHub) -> None:
    assert hub.publish("job:plain", payload=1)["channel"] == "job:plain"


def test_the_handshake(hub: RunningHub) -> None:
    http = hub.http(None)
    asked = {"WebHook-Request-Origin": "events.example.com", "WebHook-Request-Rate": "120"}
    answer = http.options("/v1/cloudevents", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["webhook-allowed-origin"] == "events.example.com"
    assert answer.headers["webhook-allowed-rate"] == "*"
    other = http.options("/v1/cloudevents", headers={"WebHook-Request-Origin": "evil.example.com"})
    assert other.status_code == 403
    assert "webhook-allowed-origin" not in other.headers


def test_the_document_describes_what_is_served(hub: RunningHub) -> None:
    found = hub.http(None).get("/openapi.json").json()
    OpenAPIV31SpecValidator(found).validate()
    for path in ("/v1/hooks/{name}", "/v1/cloudevents", "/dapr/subscribe", "/dapr/events"):
        assert path in found["paths"]

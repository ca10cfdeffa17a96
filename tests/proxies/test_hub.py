"""A hub whose decisions lie with a backend over HTTP, the whole of it."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ..support.backend import SECRET
from ..support.server import RunningHub, running_hub
from ..support.wire import connect


def decide(question: dict[str, Any]) -> Any:
    """The backend."""
    event, user = question["event"], question.get("user")
    if event == "connect":
        if user == "mallory":
            return {"refuse": {"reason": "not you"}}
        return {"subscribe": ["job:*"], "channels": ["system:news"], "cache_s": 60}
    if event == "subscribe":
        return (
            {"refuse": {"reason": "closed"}}
            if question["channel"] == "doc:closed"
            else {"info": {"role": "r"}}
        )
    if event == "publish":
        if question["payload"] == "spam":
            return {"refuse": {"reason": "no advertising", "code": "limit", "retry_after_ms": 7}}
        return {"payload": {"said": question["payload"]}, "meta": {"by": user or "service"}}
    return {"payload": {"method": question["method"], "got": question["payload"]}}


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    class Answering(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            answer = json.dumps(decide(json.loads(body))).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/hub"
    matches = {"connect": None, "subscribe": ["doc:*"], "publish": ["doc:*"], "call": None}
    proxies = [
        {"event": event, "url": url, "secret": SECRET, "timeout": 5.0, **({"match": match} if match else {})}
        for event, match in matches.items()
    ]
    with running_hub(proxies=proxies) as hub:
        hub.secret(SECRET)
        yield hub
    server.shutdown()
    server.server_close()


async def test_it_decides_and_answers(hub: RunningHub) -> None:
    token = hub.token("ann", subscribe=["doc:*"], publish=["doc:*"], presence=["doc:*"])
    async with connect(hub.ws_url, token) as ann:
        assert (await ann.expect("hub.subscribed"))["channel"] == "system:news"
        assert (await ann.ask("subscribe", channel="job:1"))["type"] == "hub.subscribed"
        assert (await ann.ask("subscribe", channel="doc:closed"))["reason"] == "closed"
        joined = await ann.ask("subscribe", channel="doc:7", presence=True)
        assert joined["members"][0]["info"] == {"role": "r"}
        refused = await ann.ask("publish", channel="doc:7", event="said", payload="spam")
        assert (refused["code"], refused["retry_after_ms"]) == ("limit", 7)
        await ann.send("publish", id=9, channel="doc:7", event="said", payload="hi")
        event = (await ann.until("said"))[-1]
        assert (event["payload"], event["meta"]) == ({"said": "hi"}, {"by": "ann"})
        result = await ann.ask("call", method="rename", payload=[1])
        assert result["payload"] == {"method": "rename", "got": [1]}
    stored = hub.publish("doc:8", "said", "x")
    assert stored["offset"] == 1


async def test_who_is_refused_is_told_why(hub: RunningHub) -> None:
    async with connect(hub.ws_url, hub.token("mallory"), welcomed=False) as mallory:
        assert (await mallory.until("hub.error"))[-1]["reason"] == "not you"

"""Handlers of the program around a hub, by the test client that such a program uses for its own tests."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from hub.app import Hub
from hub.handlers import (
    Admit,
    Allow,
    CallRequest,
    Change,
    ConnectRequest,
    Disconnected,
    EventSeen,
    PublishRequest,
    Refuse,
    SubscribeRequest,
)
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.testing import HubTestClient

SECRET = "s" * 32


def make(**values: Any) -> Hub:
    values.setdefault("namespaces", {"chat": {"client_publish": True, "presence": True}})
    return Hub(jwt_secret=SECRET, **values)


def both(hub: Hub, decorate: Callable[[Any], Any], function: Callable[[Any], Any], kind: str) -> None:
    """Register a function as it is, or as an async one."""
    if kind == "plain":
        decorate(function)
        return

    async def asynchronous(request: Any) -> Any:
        if kind == "async":
            await asyncio.sleep(0)
        return function(request)

    decorate(asynchronous)


@pytest.fixture(params=["async", "at once", "plain"])
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def test_connect_may_refuse_and_give_more(kind: str) -> None:
    hub = make()

    def greet(request: ConnectRequest) -> Admit | None:
        if request.user == "mallory":
            raise Refuse("not you")
        if request.user == "bob":
            return Admit(subscribe=["doc:*"], channels=["system:news"], info={"name": "Bob"})
        return None

    both(hub, hub.on_connect, greet, kind)
    with HubTestClient(hub) as client:
        with pytest.raises(HubError, match="not you") as refused:
            client.connect("mallory")
        assert refused.value.code is ErrorCode.FORBIDDEN
        bob = client.connect("bob", subscribe=[])
        assert bob.receive("hub.subscribed")["channel"] == "system:news"
        bob.subscribe("doc:7")
        with pytest.raises(HubError, match="no grant"):
            client.connect("ann", subscribe=[]).subscribe("doc:7")


def test_subscribe_may_refuse_show_and_choose_where_to_begin(kind: str) -> None:
    hub = make()

    def reader(request: SubscribeRequest) -> Any:
        if request.channel == "doc:closed":
            return Refuse("the document is closed")
        return Allow(info={"role": f"reader {request.user}"}, since="now")

    both(hub, hub.on_subscribe("doc:*"), reader, kind)
    with HubTestClient(hub) as client:
        first = client.publish("doc:7", "edit", 1)
        assert first.position is not None
        ann = client.connect("ann")
        with pytest.raises(HubError, match="closed"):
            ann.subscribe("doc:closed")
        start = {"epoch": first.position.epoch, "offset": 0}
        reply = ann.subscribe("doc:7", since=start, presence=True)
        assert "missed" not in reply
        assert reply["members"][0]["info"] == {"role": "reader ann"}
        assert ann.subscribe("job:7", since={"epoch": "x", "offset": 0})["channel"] == "job:7"


def test_publish_may_refuse_and_change(kind: str) -> None:
    hub = make()

    def moderate(request: PublishRequest) -> Change | None:
        if "spam" in request.payload:
            raise Refuse("no advertising", code="limit", retry_after_ms=10)
        return Change(payload=request.payload.upper(), key="k", meta={"by": request.user or "service"})

    both(hub, hub.on_publish("chat:*"), moderate, kind)
    with HubTestClient(hub) as client:
        ann = client.connect("ann")
        ann.subscribe("chat:1")
        with pytest.raises(HubError) as refused:
            ann.publish("chat:1", "said", "spam")
        assert (refused.value.code, refused.value.retry_after_ms) == (ErrorCode.LIMIT, 10)
        ann.publish("chat:1", "said", "hello")
        event = ann.receive("said")
        assert (event["payload"], event["key"], event["meta"]) == ("HELLO", "k", {"by": "ann"})
        client.publish("chat:1", "said", "x")
        assert ann.receive("said")["meta"] == {"by": "service"}
        ann.publish("doc:1", "said", "spam")  # not a channel of this handler


def test_a_batch_is_asked_one_by_one(kind: str) -> None:
    hub = make()
    seen: list[int] = []

    def count(request: PublishRequest) -> None:
        seen.append(request.payload)
        if request.payload == 2:
            raise Refuse("later", code="unavailable", retry_after_ms=5)

    both(hub, hub.on_publish("chat:*"), count, kind)
    with HubTestClient(hub) as client:
        ann = client.connect("ann")
        events = [{"channel": "chat:1", "event": "n", "payload": n} for n in (1, 2, 3)]
        results = ann.ask("batch", events=events)["results"]
        assert [result.get("offset") for result in results] == [1, None, 2]
        seen.clear()
        results = ann.ask("batch", events=events, ordered=True)["results"]
        assert [result.get("code") for result in results] == [None, "unavailable", "unavailable"]
        assert seen == [1, 2], "what stands behind a refusal that passes is not tried"


def test_a_call_is_answered(kind: str) -> None:
    hub = make()

    def rename(request: CallRequest) -> Any:
        if request.payload is None:
            raise Refuse("a name is missing", code="bad_message")
        return {"name": request.payload, "by": request.user}

    both(hub, hub.on_call("rename"), rename, kind)
    with HubTestClient(hub) as client:
        ann = client.connect("ann")
        assert ann.call("rename", "x") == {"name": "x", "by": "ann"}
        with pytest.raises(HubError, match="a name is missing"):
            ann.call("rename")
        with pytest.raises(HubError, match="no handler answers calls of remove") as unknown:
            ann.call("remove")
        assert unknown.value.code is ErrorCode.UNKNOWN_TYPE


def test_no_handler_at_all() -> None:
    with HubTestClient(make()) as client, pytest.raises(HubError, match="no handler"):
        client.connect("ann").call("rename")


def test_told_of_ends_and_events(kind: str) -> None:
    hub = make()
    gone: list[Disconnected] = []
    seen: list[EventSeen] = []
    both(hub, hub.on_disconnect, gone.append, kind)
    both(hub, hub.on_event("job:*"), seen.append, kind)
    with HubTestClient(hub) as client:
        ann = client.connect("ann")
        ann.subscribe("job:1")
        for number in range(1, 4):
            client.publish("job:1", "status", number)
        client.publish("job:2", "status", 9, key="k", final=True)  # nobody has subscribed
        client.publish("doc:2", "edit", 9)
        ann.close()
        client.advance(1)
        assert sorted((event.channel, event.payload, event.offset) for event in seen) == [
            ("job:1", 1, 1),
            ("job:1", 2, 2),
            ("job:1", 3, 3),
            ("job:2", 9, 1),
        ]
        assert [(each.user, each.connection, each.channels) for each in gone] == [("ann", ann.id, ("job:1",))]


@pytest.mark.parametrize("answer", [17, "yes", {"payload": 1}, Change(payload=object()), Change(key="")])
def test_nonsense_is_internal_and_changes_nothing(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    hub = make()
    hub.on_publish("chat:*")(lambda request: answer)
    with HubTestClient(hub) as client:
        ann = client.connect("ann")
        with pytest.raises(HubError) as failed:
            ann.publish("chat:1", "said", "hello")
        assert failed.value.code is ErrorCode.INTERNAL
        assert "no good" in caplog.text
        assert ann.ask("history", channel="chat:1")["events"] == []


def test_a_payload_that_grows_too_large_is_internal() -> None:
    hub = make(message_bytes=2048)
    hub.on_publish("chat:*")(lambda request: Change(payload="x" * 4096))
    with HubTestClient(hub) as client, pytest.raises(HubError) as failed:
        client.connect("ann").publish("chat:1", "said", "hello")
    assert failed.value.code is ErrorCode.INTERNAL


def test_an_exception_is_internal_for_that_command_only(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    hub = make()

    def break_down(request: PublishRequest) -> None:
        if request.payload == "bad":
            raise ZeroDivisionError("a secret detail")

    both(hub, hub.on_publish("chat:*"), break_down, kind)
    with HubTestClient(hub) as client:
        ann = client.connect("ann")
        with pytest.raises(HubError) as failed:
            ann.publish("chat:1", "said", "bad")
        assert failed.value.code is ErrorCode.INTERNAL
        assert "secret" not in failed.value.reason
        assert "a secret detail" in caplog.text
        assert "break_down" in caplog.text
        assert ann.publish("chat:1", "said", "good")["offset"] == 1


def test_an_async_handler_that_hangs_is_given_up_after_its_time() -> None:
    hub = make(handler_timeout=2.0)
    ended: list[bool] = []

    @hub.on_publish("chat:*")
    async def hang(request: PublishRequest) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(True)

    with HubTestClient(hub) as client:
        ann, bob = client.connect("ann"), client.connect("bob")
        before = client._loop.time()
        with pytest.raises(HubError, match="did not answer in time") as late:
            ann.publish("chat:1", "said", "x")
        assert late.value.code is ErrorCode.UNAVAILABLE
        assert 2.0 <= client._loop.time() - before < 3.0
        assert ended == [True]
        bob.publish("doc:1", "said", "x")


def test_when_all_threads_hang_calls_are_refused_at_once() -> None:
    hub = make(handler_timeout=0.05, handler_threads=2)
    release = threading.Event()
    hub.on_call("hang")(lambda request: release.wait(30))
    with HubTestClient(hub) as client:
        ann = client.connect("ann")
        for _ in range(2):
            with pytest.raises(HubError, match="in time"):
                ann.call("hang")
        with pytest.raises(HubError, match="every thread"):
            ann.call("hang")
        release.set()
        deadline = time.monotonic() + 10
        while hub.busy_threads() and time.monotonic() < deadline:
            client.advance(0.01)
        assert ann.call("hang") is True


def test_more_calls_than_are_allowed_at_once_are_refused() -> None:
    hub = make(handler_calls=3)

    @hub.on_call("wait")
    async def wait(request: CallRequest) -> None:
        await asyncio.sleep(0.5)

    with HubTestClient(hub) as client:
        ann = client.connect("ann")
        for id in range(5):
            ann.start("call", id=id, method="wait")
        client.advance(1)
        answers = [ann.receive() for _ in range(5)]
        assert sorted(each["type"] for each in answers) == ["hub.error"] * 2 + ["hub.result"] * 3


def test_who_holds_the_loop_is_named_while_it_holds_it(caplog: pytest.LogCaptureFixture) -> None:
    hub = make()

    @hub.on_call("compute")
    async def compute(request: CallRequest) -> None:
        until = time.perf_counter() + 5.0
        while time.perf_counter() < until and "holds the event loop" not in caplog.text:
            sum(range(1000))

    with HubTestClient(hub) as client, caplog.at_level(logging.WARNING):
        client.connect("ann").call("compute")
    assert "compute holds the event loop" in caplog.text
    assert "sum(range(1000))" in caplog.text or "while time.perf_counter()" in caplog.text


def test_a_handler_that_publishes_into_its_own_channel_is_cut(kind: str) -> None:
    hub = make()
    told: list[int] = []

    @hub.on_publish("chat:*")
    async def echo(request: PublishRequest) -> None:
        await hub.publish("chat:2", "echo", request.payload)

    @hub.on_event("job:*")
    async def again(event: EventSeen) -> None:
        told.append(event.payload)
        await hub.publish("job:9", "status", event.payload + 1)

    @hub.on_event("doc:*")
    async def there(event: EventSeen) -> None:
        told.append(event.payload)
        await hub.publish("system:1", "on", event.payload)

    @hub.on_event("system:*")
    async def back(event: EventSeen) -> None:
        await hub.publish("doc:1", "on", event.payload)

    with HubTestClient(hub) as client:
        with pytest.raises(HubError, match="a loop is cut") as cut:
            client.connect("ann").publish("chat:1", "said", "x")
        assert cut.value.code is ErrorCode.CONFLICT
        client.publish("job:1", "status", 1)
        client.advance(1)
        assert told == [1]
        client.publish("doc:1", "on", 7)  # two handlers that tell each other
        client.advance(1)
        assert 2 <= told.count(7) <= 3


def test_publish_soon_from_any_thread() -> None:
    hub = make()

    def work(request: CallRequest) -> str:
        hub.publish_soon("job:1", "status", request.payload, key="1")
        return threading.current_thread().name

    hub.on_call("work")(work)
    with HubTestClient(hub) as client:
        ann = client.connect("ann")
        ann.subscribe("job:1")
        assert ann.call("work", 5).startswith("hub-handler-")
        assert ann.receive("status")["payload"] == 5


def test_presence_and_disconnect_in_process() -> None:
    hub = make()
    with HubTestClient(hub) as client:
        ann = client.connect("ann")
        ann.subscribe("doc:7", presence=True)
        assert [member["user"] for member in client._run(hub.presence("doc:7"))] == ["ann"]
        client._run(hub.disconnect(user="ann"))
        client.advance(1)
        assert ann.closed is not None


def test_registered_too_late_or_twice() -> None:
    hub = make()
    hub.on_call("one")(lambda request: 1)
    with pytest.raises(ValueError, match="calls of one have a handler"):
        hub.on_call("one")(lambda request: 2)
    with pytest.raises(TypeError, match="name the channels"):
        hub.on_subscribe()
    with HubTestClient(hub), pytest.raises(RuntimeError, match="runs already"):
        hub.on_connect(lambda request: None)


def test_time_of_the_test_client_is_its_own() -> None:
    hub = make()
    began = time.monotonic()
    with HubTestClient(hub) as client:
        ann = client.connect("ann")
        ann.subscribe("job:1")
        client.publish("job:1", "status", 1, key="k", lease_ms=3_600_000)
        ann._connection.heard()
        client.advance(20)
        ann._connection.heard()
        client.publish("job:2", "status", 1, key="k", lease_ms=5_000)
        ann.subscribe("job:2")
        client.advance(6)
        assert ann.receive("lease_expired")["channel"] == "job:2"
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("waits", [False, True])
def test_a_handler_that_cancels_itself_is_internal_for_its_own_command(
    waits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    hub = make()

    @hub.on_publish("chat:*")
    async def gone(_request: PublishRequest) -> None:
        if waits:
            await asyncio.sleep(0)
        raise asyncio.CancelledError

    with HubTestClient(hub) as client:
        ann = client.connect("ann")
        for _ in range(2):
            with pytest.raises(HubError) as caught:
                ann.publish("chat:1", "m", 1)
            assert caught.value.code is ErrorCode.INTERNAL
    assert "the handler cancelled itself" in caplog.text

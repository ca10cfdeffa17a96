"""`SyncClient`: events in a plain thread."""

import asyncio
import os
import threading
from collections.abc import Iterator

import pytest

from hub.client import Event, Gap, HubError, Snapshot, Stopped, SyncClient, TokenRefused
from hub.sdk.buffer import Ended

from ..support.server import RunningHub, running_hub


@pytest.fixture(scope="module")
def running() -> Iterator[RunningHub]:
    with running_hub() as hub:
        yield hub


def client(running: RunningHub, **options: object) -> SyncClient:
    token = running.token("ann", subscribe=["job:*", "doc:*"], publish=["doc:*"], presence=["doc:*"])
    return SyncClient(running.url, token, **options)


def test_events_are_iterated_in_a_plain_thread(running: RunningHub) -> None:
    seen: list[object] = []
    subscribed = threading.Event()

    def watch() -> None:
        with client(running) as hub:
            for item in hub.subscribe("job:1", on_snapshot=lambda _: subscribed.set()):
                assert isinstance(item, Event)
                seen.append(item.payload)
                if item.final:
                    return

    thread = threading.Thread(target=watch)
    thread.start()
    assert subscribed.wait(30)
    for n in range(50):
        running.publish("job:1", payload=n, key="k", final=n == 49)
    thread.join(30)
    assert not thread.is_alive()
    assert seen == list(range(50))


def test_a_deadline_loses_nothing_and_the_position_is_what_was_taken(running: RunningHub) -> None:
    with client(running) as hub, hub.subscribe("doc:1") as doc:
        with pytest.raises(TimeoutError, match="no item within"):
            doc.get(0.05)
        assert doc.publish("x", 1).offset == 1
        assert doc.publish("x", 2).offset == 2
        begun = doc.position
        assert begun is not None
        assert begun.offset == 0
        items = [doc.get(30), doc.get(30)]
        assert [item.payload for item in items if isinstance(item, Event)] == [1, 2]
        assert doc.position == items[1].position
        assert [event.payload for event in hub.history("doc:1").events] == [1, 2]
        doc.close()
        with pytest.raises(Ended):
            doc.get(30)
    with client(running) as hub, hub.subscribe("doc:1", since=begun) as doc:
        again = [doc.get(30), doc.get(30)]
        assert [item.payload for item in again if isinstance(item, Event)] == [1, 2]


def test_what_is_refused_is_raised_where_it_was_asked(running: RunningHub) -> None:
    with client(running) as hub:
        with pytest.raises(HubError, match="no grant"):
            next(iter(hub.subscribe("system:x")))
        with pytest.raises(HubError, match="only services publish"):
            hub.publish("job:1", "x", 1)
        assert hub.presence("doc:1") == []
        assert hub.ping() > 0
    with pytest.raises(TokenRefused):
        SyncClient(running.url, "not.a.token").start()
    with pytest.raises(RuntimeError, match="does not run"):
        hub.ping()


def test_an_iteration_ends_when_the_client_is_closed_elsewhere(running: RunningHub) -> None:
    hub = client(running)
    hub.start()
    subscription = hub.subscribe("doc:2")
    closing = threading.Timer(0.2, hub.close)
    closing.start()
    assert [item for item in subscription if not isinstance(item, Gap | Snapshot)] == []
    closing.join()


def test_who_would_wait_for_themselves_are_told(running: RunningHub) -> None:
    caught: list[BaseException] = []
    told = threading.Event()
    hub = client(running)

    def callback(_: object) -> None:
        try:
            hub.ping()
        except RuntimeError as error:
            caught.append(error)
        told.set()

    with hub, hub.subscribe("job:2", on_snapshot=callback) as job:
        with pytest.raises(TimeoutError):
            job.get(0.2)
        assert told.wait(30)
        child = os.fork()
        if child == 0:
            try:
                hub.ping()
            except RuntimeError:
                os._exit(17)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 17
    assert "may not wait" in str(caught[0])


async def test_a_hub_that_is_not_there_is_told_with_its_address(caplog: pytest.LogCaptureFixture) -> None:
    def start() -> None:
        with pytest.raises(TimeoutError):
            SyncClient("http://user:secret@127.0.0.1:1/hub?token=eyJx", "t", start_timeout=0.5).start()

    await asyncio.to_thread(start)
    warnings = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert len([line for line in warnings if "no connection to ws://127.0.0.1:1/hub/ws: " in line]) == 1
    assert "eyJx" not in caplog.text
    assert "secret" not in caplog.text
    assert issubclass(TokenRefused, Stopped)

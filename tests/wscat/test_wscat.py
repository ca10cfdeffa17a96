"""A person with wscat: by ``?token=``, and by console lines alone."""

from collections.abc import Iterator

import pytest

from ..cli import readme
from ..support.server import RunningHub, running_hub
from .terminal import wscat


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    with running_hub() as hub:
        yield hub


def test_the_line_of_the_readme_connects_by_the_query(hub: RunningHub) -> None:
    command = readme.noted("typed by a person").replace("ws://127.0.0.1:8000/ws", hub.ws_url)
    token = hub.token("ann", subscribe=["job:*"], channels=["job:1"])
    with wscat(command, HUB_TOKEN=token) as terminal:
        assert terminal.expect("hub.welcome")["user"] == "ann"
        assert terminal.expect("hub.subscribed")["channel"] == "job:1"
        hub.publish("job:1", "job_status", {"state": "running"}, key="1")
        event = terminal.expect("job_status")
        assert (event["payload"], event["offset"]) == ({"state": "running"}, 1)


def test_a_session_by_console_lines(hub: RunningHub) -> None:
    token = hub.token("ben", subscribe=["doc:*"], publish=["doc:*"], presence=["doc:*"])
    with wscat(f"npx wscat -c {hub.ws_url}") as terminal:
        terminal.until("Connected")
        terminal.type("sub doc:7")
        assert terminal.expect("hub.error")["code"] == "unauthenticated"
        terminal.type(f"auth {token}")
        assert terminal.expect("hub.welcome")["user"] == "ben"
        terminal.type("help")
        assert any(line.startswith("sub <channel>") for line in terminal.expect("hub.help")["lines"])
        terminal.type("sub doc:7")
        place = terminal.expect("hub.subscribed")
        terminal.type('pub doc:7 cursor {"x":1}')
        event = terminal.expect("cursor")
        assert (event["payload"], event["from"], event["offset"]) == ({"x": 1}, "ben", place["offset"] + 1)
        terminal.type("who doc:7")
        assert terminal.expect("hub.presence")["channel"] == "doc:7"
        terminal.type("history doc:7 10")
        assert [each["payload"] for each in terminal.expect("hub.history")["events"]] == [{"x": 1}]
        terminal.type("unsub doc:7")
        assert terminal.expect("hub.unsubscribed")["channel"] == "doc:7"
        terminal.type(f"sub doc:7 since {place['epoch']}:{place['offset']}")
        again = terminal.expect("hub.subscribed")
        assert (again["recovered"], again["missed"]) == (True, 1)
        assert terminal.expect("cursor")["offset"] == event["offset"]
        terminal.type("ping")
        assert terminal.expect("hub.pong")["time"] > 1_700_000_000_000


def test_a_line_that_is_none_says_how_it_is_written(hub: RunningHub) -> None:
    with wscat(f"npx wscat -c '{hub.ws_url}?token={hub.token('eve')}'") as terminal:
        terminal.expect("hub.welcome")
        terminal.type("pub doc:7")
        assert "pub <channel> <event> <json>" in terminal.expect("hub.error")["reason"]
        terminal.type("make me a sandwich")
        assert terminal.expect("hub.error")["code"] == "unknown_type"

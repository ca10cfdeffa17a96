"""The harness itself: that it starts, speaks both encodings, and finds what it must find."""

from pathlib import Path

import pytest

from ..support.server import RunningHub, running_hub
from ..support.wire import connect


@pytest.mark.parametrize("encoding", ["json", "msgpack", "none"])
@pytest.mark.parametrize("place", ["header", "query", "message"])
async def test_an_event_arrives(hub: RunningHub, encoding: str, place: str) -> None:
    token = hub.token("ann", subscribe=["job:*"])
    async with connect(hub.ws_url, token, encoding=encoding, place=place) as wire:  # type: ignore[arg-type]
        assert wire.welcome["user"] == "ann"
        reply = await wire.ask("subscribe", channel=f"job:{encoding}-{place}")
        assert reply["type"] == "hub.subscribed"
        published = hub.publish(f"job:{encoding}-{place}", "job_status", {"progress": 40})
        event = await wire.expect("job_status")
        assert event["payload"] == {"progress": 40}
        assert event["offset"] == published["offset"]


def test_a_secret_in_the_log_is_found(tmp_path: Path) -> None:
    with running_hub() as hub:
        token = hub.token("ann")
        hub.check_log()
        (tmp_path / "log").write_text(f"GET /ws?token={token}")
        hub._log_path = tmp_path / "log"
        with pytest.raises(AssertionError, match="secret"):
            hub.check_log()
        (tmp_path / "log").write_text("")


def test_a_hub_that_does_not_start_says_why() -> None:
    with pytest.raises(AssertionError, match="ended with status"), running_hub(heartbeat_ms=1):
        pass

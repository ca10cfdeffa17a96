"""A single node that forgets nothing, as its clients see it: killed in the midst, and started again."""

import signal
from pathlib import Path

from ..support.server import API_KEY, running_hub
from ..support.wire import connect


async def test_a_kill_and_a_new_start_go_unnoticed(tmp_path: Path) -> None:
    broker = f"sqlite://{tmp_path}/hub.db"
    with running_hub(broker=broker) as hub:
        token = hub.token("ann", subscribe=["job:*"])
        async with connect(hub.ws_url, token) as wire:
            await wire.ask("subscribe", channel="job:42")
            for number in range(20):
                hub.publish("job:42", payload=number, key=str(number % 3), event_id=f"e{number}")
            seen = [await wire.expect("tick") for _ in range(12)]
        epoch = hub.http().get("/v1/channels/job:42").json()["epoch"]
        before = hub.http().get("/v1/channels/job:42/snapshot").json()
        hub.http().post("/v1/revoke", json={"jti": "gone"}).raise_for_status()
        hub.stop(signal.SIGKILL)
    with running_hub(broker=broker) as hub:
        async with connect(hub.ws_url, token) as wire:
            since = {"epoch": epoch, "offset": seen[-1]["offset"]}
            reply = await wire.ask("subscribe", channel="job:42", since=since)
            assert (reply["epoch"], reply["recovered"], reply["missed"]) == (epoch, True, 8)
            missed = [(await wire.receive())["payload"] for _ in range(8)]
            assert [each["payload"] for each in seen] + missed == list(range(20))
            repeated = hub.publish("job:42", payload=19, key="1", event_id="e19")
            assert (repeated["offset"], repeated["epoch"]) == (20, epoch)
            hub.publish("job:42", payload="after")
            assert (await wire.expect("tick"))["offset"] == 21
        assert hub.http().get("/v1/channels/job:42/snapshot").json()["events"] == before["events"]
        assert "fork" not in hub.log()
    assert (tmp_path / "hub.db").stat().st_mode & 0o077 == 0
    assert API_KEY.encode() not in (tmp_path / "hub.db").read_bytes()

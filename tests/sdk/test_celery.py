"""`HubTasks`: what a Celery worker's tasks become is told, under versions that put it in order."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from hub.celery import HubTasks

from .http_hub import HttpHub

ROOT = Path(__file__).parents[2]

WORKER = """
import sys
from celery import Celery
from hub.celery import HubTasks

url, folder = sys.argv[1:]
app = Celery(broker="filesystem://", set_as_current=True)
folders = dict(data_folder_in=folder, data_folder_out=folder, control_folder=folder + "/control")
app.conf.broker_transport_options = folders
hub = HubTasks(app, url, api_key="k", lease=1.5)

@app.task(name="good")
def good():
    hub.progress(50, "half-way", rows=7)
    import time
    time.sleep(1.2)

@app.task(name="bad")
def bad():
    raise ValueError("a secret of row 7")

@app.task(name="shaky", bind=True)
def shaky(self):
    if self.request.retries < 1:
        raise self.retry(countdown=0, exc=OSError("away"))

@app.task(name="quiet")
def quiet():
    pass

for task in (good, bad, shaky):
    task.apply_async(task_id=task.name)
app.worker_main(["worker", "-P", "prefork", "-c", "2", "--max-tasks-per-child", "1", "-l", "WARNING",
                 "--without-gossip", "--without-mingle", "--without-heartbeat"])
"""


def told(hub: HttpHub, key: str) -> list[dict[str, Any]]:
    """What was said of a task, in the order of its versions: as who looks at the hub sees it in the end."""
    found = [event for batch in hub.batches for event in batch if event["key"] == key]
    return sorted(found, key=lambda event: event["version"])


async def test_each_state_of_a_task_is_an_event_of_its_key(tmp_path: Path) -> None:
    async with HttpHub() as hub:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "ignore", "-c", WORKER, hub.url, str(tmp_path)),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(180):
                while not all(
                    any(e.get("final") for e in told(hub, key)) for key in ("good", "bad", "shaky")
                ):
                    await asyncio.sleep(0.05)
        finally:
            process.terminate()
            output, _ = await process.communicate()
    good, bad, shaky = (told(hub, key) for key in ("good", "bad", "shaky"))
    assert {event["channel"] for event in (*good, *bad, *shaky)} == {"job:tasks"}, output
    states = [event["payload"]["state"] for event in good]
    assert states[0] == "queued"
    assert states[1:-1] == ["running"] * (len(states) - 2)
    assert states[-1] == "succeeded"
    assert good[0]["version"] == [1, 0]
    assert len(states) >= 5, "the lease was renewed by a heartbeat"
    assert {event.get("lease_ms") for event in good[1:-1]} == {1500}
    assert "lease_ms" not in good[-1]
    half = next(event["payload"] for event in good if event["payload"].get("progress") == 50)
    assert (half["note"], half["rows"], half["name"], half["job"]) == ("half-way", 7, "good", "good")
    assert half["worker"]
    assert good[-1]["payload"]["seconds"] >= 1.2
    assert bad[-1]["payload"]["state"] == "failed"
    assert bad[-1]["payload"]["error"] == "ValueError", "an exception's words may be secret"
    assert [(event["version"][0], event["payload"]["state"]) for event in shaky] == [
        (1, "queued"),
        (1, "running"),
        (2, "retrying"),
        (2, "running"),
        (2, "succeeded"),
    ]
    assert "Traceback" not in output.decode().replace("Traceback (most recent call last):\n  File", "", 1)


async def test_a_channel_for_each_task_and_none_for_some() -> None:
    def channel(name: str, id: str) -> str | None:
        return None if name == "quiet" else f"job:{name}"

    def work(url: str) -> None:
        app = Celery("t", broker="memory://", set_as_current=False)
        hub = HubTasks(app, url, api_key="k", channel=channel, describe=str)

        @app.task(name="loud")  # type: ignore[untyped-decorator]
        def loud() -> None:
            raise ValueError("why")

        @app.task(name="quiet")  # type: ignore[untyped-decorator]
        def quiet() -> None: ...

        for task in (loud, quiet):
            task.apply(task_id=task.name)
        assert hub.flush(30)

    async with HttpHub() as hub:
        await asyncio.to_thread(work, hub.url)
    assert told(hub, "quiet") == []
    loud = told(hub, "loud")
    assert [event["channel"] for event in loud] == ["job:loud"] * 2
    assert loud[-1]["payload"]["error"] == "why"


def test_without_an_address_it_says_so_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HUB_URL", "HUB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="HUB_URL and HUB_API_KEY"):
        HubTasks(Celery("t", set_as_current=False))

"""What is queued when an event loop or a process ends: sent within a bound, or told."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hub.publisher import NotConnected, Published, Publisher, SyncPublisher, UnknownOutcome

from .http_hub import HttpHub, problem

ROOT = Path(__file__).parents[2]


async def run(program: str, *args: str) -> tuple[int, str]:
    """Run a program; its status and what it wrote."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", program, *args),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


def payloads(hub: HttpHub) -> list[object]:
    return [event["payload"] for batch in hub.batches for event in batch]


async def test_a_publisher_goes_on_in_the_next_event_loop() -> None:
    async with HttpHub() as hub:
        publisher = Publisher(hub.url, api_key="k", deadline=5)

        async def first() -> Published:
            await publisher.start()
            return await publisher.publish("job:1", "x", 1)

        async def second() -> Published:
            return await publisher.publish("job:1", "x", 2)

        async def third() -> Published:
            async with publisher:
                return await publisher.publish_nowait("job:1", "x", 3)

        async def closed() -> None:
            with pytest.raises(NotConnected):
                await publisher.publish("job:1", "x", 4)

        def both() -> list[int | None]:
            offsets = [asyncio.run(work()).offset for work in (first, second, third)]
            asyncio.run(closed())
            return offsets

        assert await asyncio.to_thread(both) == [1, 1, 1]
    assert payloads(hub) == [1, 2, 3]


async def test_a_publisher_in_two_loops_at_once_is_told() -> None:
    async with HttpHub() as hub, Publisher(hub.url, api_key="k") as publisher:

        async def elsewhere() -> None:
            with pytest.raises(RuntimeError, match="one event loop at a time"):
                await publisher.publish("job:1", "x", 1)

        await asyncio.to_thread(asyncio.run, elsewhere())


LOOP = """
import asyncio, logging, sys
from hub.publisher import Publisher

logging.basicConfig(level=logging.ERROR)

async def main():
    publisher = Publisher(sys.argv[1], api_key="k", linger=60)
    await publisher.start()
    for n in range(6):
        publisher.publish_nowait("job:1", "x", n)

asyncio.run(main())
"""


async def test_an_event_loop_that_ends_tells_what_it_left() -> None:
    """And warns of nothing else: no pending task, no unclosed socket."""
    async with HttpHub() as hub:
        assert await run(LOOP, hub.url) == (
            0,
            "ERROR:hub.publisher:6 events were not published: the event loop has ended\n",
        )


UNCLOSED = """
import asyncio, gc, sys
from hub.publisher import Publisher

async def main():
    publisher = Publisher(sys.argv[1], api_key="k")
    await publisher.start()
    await publisher.publish("job:1", "x", 1)

asyncio.run(main())
gc.collect()
"""


async def test_a_publisher_that_was_not_closed_leaves_no_warning() -> None:
    async with HttpHub() as hub:
        assert await run(UNCLOSED, hub.url) == (0, "")


END = """
import sys
from hub.publisher import SyncPublisher

publisher = SyncPublisher(sys.argv[1], api_key="k")
for n in range(6):
    publisher.publish_nowait("job:1", "x", n)
"""

CHILD = """
import multiprocessing, sys
from hub.publisher import SyncPublisher

publisher = SyncPublisher(sys.argv[1], api_key="k")

def work(n):
    publisher.publish_nowait("job:1", "x", n)

if __name__ == "__main__":
    publisher.publish("job:1", "x", "parent")
    children = [multiprocessing.get_context("fork").Process(target=work, args=(n,)) for n in range(6)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 6
    publisher.close()
"""


async def test_what_is_queued_at_the_end_of_a_process_is_sent() -> None:
    async with HttpHub() as hub:
        assert await run(END, hub.url) == (0, "")
    assert payloads(hub) == [0, 1, 2, 3, 4, 5]


async def test_what_is_queued_at_the_end_of_a_forked_child_is_sent() -> None:
    async with HttpHub() as hub:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "ignore", "-c", CHILD, hub.url, cwd=ROOT
        )
        assert await process.wait() == 0
    assert sorted(map(str, payloads(hub))) == ["0", "1", "2", "3", "4", "5", "parent"]


AWAY = """
import logging, sys
from hub.publisher import SyncPublisher

logging.basicConfig()
publisher = SyncPublisher(sys.argv[1], api_key="k", exit_timeout=1)
for n in range(6):
    publisher.publish_nowait("job:1", "x", n)
"""


async def test_what_could_not_be_sent_at_the_end_is_told_within_the_bound() -> None:
    async with HttpHub(*[problem(503, "away", "unavailable")] * 50) as hub:
        began = time.monotonic()
        status, output = await run(AWAY, hub.url)
    assert status == 0
    assert "the hub did not take all within 1 s" in output
    assert "6 events were not published: the publisher was closed" in output
    assert time.monotonic() - began < 30  # a minute is how long they would be tried


async def test_flush_says_whether_all_has_gone() -> None:
    def work(url: str) -> tuple[bool, bool]:
        publisher = SyncPublisher(url, api_key="k", deadline=2)
        try:
            nothing = publisher.flush(1)
            future = publisher.publish_nowait("job:1", "x", 1)
            flushed = publisher.flush(0.5)
            assert isinstance(future.exception(20), UnknownOutcome)
            return nothing, flushed
        finally:
            publisher.close()

    async with HttpHub(*[problem(503, "away", "unavailable")] * 50) as hub:
        assert await asyncio.to_thread(work, hub.url) == (True, False)


CELERY = """
import sys
from celery import Celery
from hub.publisher import SyncPublisher

url, folder = sys.argv[1:]
app = Celery(broker="filesystem://", set_as_current=True)
folders = dict(data_folder_in=folder, data_folder_out=folder, control_folder=folder + "/control")
app.conf.broker_transport_options = folders
publisher = SyncPublisher(url, api_key="k")

@app.task(name="work")
def work(n):
    publisher.publish_nowait("job:1", "succeeded", n)

for n in range(4):
    work.delay(n)
app.worker_main(["worker", "-P", "prefork", "-c", "2", "--max-tasks-per-child", "1", "-l", "WARNING",
                 "--without-gossip", "--without-mingle", "--without-heartbeat"])
"""


async def test_celery_children_that_end_after_each_task_lose_nothing(tmp_path: Path) -> None:
    async with HttpHub() as hub:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "ignore", "-c", CELERY, hub.url, str(tmp_path)),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(120):
                while len(payloads(hub)) < 4:
                    await asyncio.sleep(0.05)
        finally:
            process.terminate()
            output, _ = await process.communicate()
    assert sorted(payloads(hub), key=str) == list(range(4)), output.decode()

"""Simulated jobs, published as a backend would do it: by the `Publisher`, over HTTP."""

import asyncio
import itertools
import random
from collections.abc import Iterator

from ..publisher import Publisher

CHANNEL = "job:demo"
EVENT = "job_status"
RUNNERS = 5
FAILS = 0.2  # of all jobs

WORK = (
    ("Import customers.csv", "rows read", "row 48,113 has no e-mail address"),
    ("Render trailer.mp4", "frames rendered", "the codec gave up at frame 2,210"),
    ("Nightly sales report", "tables joined", "the warehouse did not answer"),
    ("Resize 4,000 photos", "photos resized", "IMG_2031.heic is damaged"),
    ("Rebuild search index", "documents indexed", "the disk is full"),
    ("Send newsletter", "mails sent", "the mail server refused a sender"),
    ("Train forecast model", "epochs trained", "the loss is not a number"),
)


async def simulate(url: str, api_key: str) -> None:
    """Run jobs until cancelled, a few at once, each with its states queued, running, succeeded or failed."""
    numbers = itertools.count(1)
    async with Publisher(url, api_key=api_key, deadline=2.0) as publisher, asyncio.TaskGroup() as runners:
        for number in range(1, RUNNERS + 1):
            runners.create_task(_runner(publisher, numbers, f"worker-{number}"))


async def _runner(publisher: Publisher, numbers: Iterator[int], worker: str) -> None:
    while True:
        await _job(publisher, f"{next(numbers):03d}", worker)
        await asyncio.sleep(random.uniform(0.5, 2.5))


async def _job(publisher: Publisher, id: str, worker: str) -> None:
    """One job: each state is an event whose key is the job's id, and the last one is final."""
    name, unit, complaint = random.choice(WORK)

    async def tell(state: str, progress: int, note: str, *, final: bool = False) -> None:
        payload = {
            "job": id,
            "name": name,
            "state": state,
            "progress": progress,
            "note": note,
            "worker": worker,
        }
        await publisher.publish(CHANNEL, EVENT, payload, key=id, final=final)

    await tell("queued", 0, "waits for a worker")
    await asyncio.sleep(random.uniform(0.3, 1.5))
    fails_at = random.randint(20, 90) if random.random() < FAILS else None
    progress = 0
    pace = random.uniform(0.15, 0.5)
    while progress < 100:
        await tell("running", progress, f"{progress} % of all {unit}")
        await asyncio.sleep(pace * random.uniform(0.5, 1.5))
        progress = min(100, progress + random.randint(1, 6))
        if fails_at is not None and progress >= fails_at:
            await tell("failed", progress, complaint, final=True)
            return
    await tell("succeeded", 100, f"all {unit}", final=True)

"""A steady flow of events over HTTP, and the publishers' own record of every answer.

Half of the publishers insist: what was not answered with a position is repeated with the same `event_id`
until it is. The others publish once, and believe what they are told.
"""

import asyncio
import itertools
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

KEYS = 5
UNKNOWN = "outcome is unknown"
REPEAT_S = 0.25
TIMEOUT_S = 20.0


@dataclass(slots=True)
class Told:
    """What became of one number. `epoch` is "" until it was answered with a position.

    `doubtful`: some try of it had no answer, or one that leaves open whether it was stored.
    """

    number: int
    channel: str
    sent_at: float
    answered_at: float = 0.0
    epoch: str = ""
    offset: int = 0
    tries: int = 0
    doubtful: bool = False
    reasons: list[str] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        """Refused for certain: it must not be seen by anybody."""
        return bool(self.answered_at) and not self.epoch and not self.doubtful


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request: when, for how long, and the status (0: none came)."""

    node: int
    at: float
    seconds: float
    status: int


class Flow:
    """`urls` are the nodes, or what stands before them; each has one publisher for each channel."""

    def __init__(self, urls: list[str], api_key: str, channels: list[str], every_s: float) -> None:
        self.told: dict[int, Told] = {}
        self.attempts: list[Attempt] = []
        self.flowing = True
        self.wrong: list[str] = []
        self.expected = {"unavailable"}  # codes of refusals
        self._down: set[int] = set()  # nodes that are gone
        self._going = asyncio.Event()
        self._going.set()
        self._busy = 0  # publishers that wait for an answer, or are about to try again
        self._channels = channels
        self._every_s = every_s
        self._numbers = itertools.count(1)
        self._clients = [
            httpx.AsyncClient(
                base_url=url,
                headers={"Authorization": f"Bearer {api_key}"},
                timeout=TIMEOUT_S,
                trust_env=False,
            )
            for url in urls
        ]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        for node, channel in itertools.product(range(len(self._clients)), self._channels):
            self._tasks.append(asyncio.create_task(self._publish(node, channel, insist=node == 0)))

    async def stop(self) -> None:
        """No new numbers; returns when those who insist have their answers."""
        self.flowing = False
        await asyncio.gather(*self._tasks)
        self._tasks.clear()

    async def close(self) -> None:
        """Let go of everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for client in self._clients:
            await client.aclose()

    async def hold(self) -> None:
        """Nothing new, until `release`; returns when all that was sent has its answer."""
        self._going.clear()
        while self._busy:
            await asyncio.sleep(0.02)

    def release(self) -> None:
        """Go on."""
        self._going.set()

    def leave(self, node: int) -> None:
        """A node is gone: its publishers go to the other."""
        self._down.add(node)

    async def _publish(self, node: int, channel: str, insist: bool) -> None:
        while self.flowing:
            await self._going.wait()
            told = Told(next(self._numbers), channel, time.monotonic())
            self.told[told.number] = told
            self._busy += 1
            await self._try(node, told)
            while insist and not told.epoch:
                await asyncio.sleep(REPEAT_S)
                await self._try(node, told)
            self._busy -= 1
            await asyncio.sleep(self._every_s)

    async def _try(self, node: int, told: Told) -> None:
        node = next(each for each in (node, *range(len(self._clients))) if each not in self._down)
        told.tries += 1
        begun = time.monotonic()
        status, answer = await self._post(node, body_of(told))
        now = time.monotonic()
        self.attempts.append(Attempt(node, begun, now - begun, status))
        told.answered_at = now
        if status == 200:
            told.epoch, told.offset = answer["epoch"], answer["offset"]
            return
        reason = str(answer.get("reason") or answer.get("detail") or answer)
        told.reasons.append(reason)
        if status in (0, 502, 504) or UNKNOWN in reason:
            told.doubtful = True
        elif answer.get("code") not in self.expected:
            self.wrong.append(f"a publisher was answered {status}: {answer}")

    async def _post(self, node: int, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        try:
            answer = await self._clients[node].post("/v1/publish", json=body)
        except httpx.HTTPError as error:
            return 0, {"reason": type(error).__name__}
        if "json" not in answer.headers["content-type"]:
            return answer.status_code, {"reason": "the proxy before the nodes says so"}
        found: dict[str, Any] = answer.json()
        if answer.status_code == 503 and int(answer.headers.get("retry-after", "0")) < 1:
            self.wrong.append(f"a refusal does not say when to come back: {found}")
        return answer.status_code, found

    # What the record says

    def stored(self, channel: str) -> list[Told]:
        """What was answered with a position, in the order of the answers."""
        found = [told for told in self.told.values() if told.channel == channel and told.epoch]
        return sorted(found, key=lambda told: told.answered_at)

    async def repeat(self, node: int, told: Told) -> dict[str, Any]:
        """Publish what was stored once more, with the same `event_id`; the answer."""
        status, answer = await self._post(node, body_of(told))
        return {"status": status, **answer}


def body_of(told: Told) -> dict[str, Any]:
    """The request that publishes a number."""
    body: dict[str, Any] = {
        "channel": told.channel,
        "event": "tick",
        "payload": {"n": told.number},
        "event_id": f"flow-{told.number}",
    }
    if told.channel.startswith("job:"):
        body["key"] = f"k{told.number % KEYS}"
    return body

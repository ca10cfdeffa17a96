"""A planned departure at bad moments: real processes that are told to go while they start, while Redis is away,
while the wall clock jumps, while somebody does not read.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ..broker.redis.servers import RedisServer
from ..support.pace import SCALE
from ..support.server import RunningHub, _environment, _script, free_port, running_hub
from ..support.wire import Message, Wire, connect, problem

NOTICE_S = 0.5
STAY_S = 4.0  # from `hub.drain` to the end of a connection that stays
LATE_S = 1.0  # what a shared machine adds to a time
END_S = 10.0  # over notice and drain: docs/deploying.md gives a departure 45 s for its 35
DAY_S = 86_400.0
GRANTS: dict[str, Any] = {"subscribe": ["*"], "publish": ["*"]}

# The wall clock of the whole process goes an hour forth at SIGUSR1, an hour back at SIGUSR2.
JUMPY = """#!{python}
import signal, sys, time

real, ahead = time.time, 0.0

def jump(number, frame):
    global ahead
    ahead += 3600.0 if number == signal.SIGUSR1 else -3600.0

time.time = lambda: real() + ahead
signal.signal(signal.SIGUSR1, jump)
signal.signal(signal.SIGUSR2, jump)

from hub.cli import main

sys.exit(main())
"""


class Guest:
    """A connection, and all that it saw; a `polite` one leaves when it is asked to."""

    def __init__(self, wire: Wire, *, polite: bool = False) -> None:
        self.wire = wire
        self.messages: list[Message] = []
        self.told_at = self.ended_at = 0.0
        self.code = 0
        self._polite = polite
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            while True:
                self.messages.append(await self.wire.receive(30.0))
                if self.messages[-1]["type"] == "hub.drain":
                    self.told_at = time.monotonic()
                    if self._polite:
                        await self.wire.websocket.close()
        except ConnectionClosed as closed:
            self.code = closed.rcvd.code if closed.rcvd is not None else 1006
        self.ended_at = time.monotonic()

    async def end(self) -> None:
        """Until the connection is over."""
        await self._reading

    @property
    def ticks(self) -> list[int]:
        """The offsets of the events, as they came."""
        return [message["offset"] for message in self.messages if message["type"] == "tick"]

    def check_sent_away(self) -> None:
        """It was told, stayed to its deadline, and was closed with 4100 and told when to come back."""
        (drain,) = [message for message in self.messages if message["type"] == "hub.drain"]
        check_drain(drain)
        assert self.code == 4100, self.messages[-3:]
        close = self.messages[-1]
        assert (close["type"], close["code"]) == ("hub.close", 4100)
        assert 0 <= close["reconnect"]["min_ms"] < close["reconnect"]["max_ms"]
        stayed, deadline = self.ended_at - self.told_at, drain["deadline_ms"] / 1000
        assert deadline - LATE_S * SCALE < stayed < deadline + LATE_S * SCALE


class Flow:
    """Publications one after the other, over HTTP, until the hub answers no more."""

    def __init__(self, hub: RunningHub, channel: str) -> None:
        self.answered: list[float] = []  # when, by offset - 1
        self.ended_at = 0.0
        self._body = {"channel": channel, "event": "tick", "payload": None}
        self._url = f"{hub.url}/v1/publish"
        self._headers = {"Authorization": f"Bearer {hub.api_key}"}
        self._publishing = asyncio.create_task(self._publish())

    async def _publish(self) -> None:
        async with httpx.AsyncClient(headers=self._headers, trust_env=False) as http:
            while True:
                try:
                    answer = await http.post(self._url, json=self._body)
                except httpx.TransportError:
                    self.ended_at = time.monotonic()
                    return
                assert answer.status_code == 200, answer.text
                assert answer.json()["offset"] == len(self.answered) + 1
                self.answered.append(time.monotonic())
                await asyncio.sleep(0.04)

    async def end(self) -> None:
        """Until the hub is gone."""
        await self._publishing


def check_drain(message: Message) -> None:
    """`hub.drain` says when to come back, and until when this connection lives."""
    assert message["type"] == "hub.drain"
    window = message["reconnect"]
    assert 0 <= window["min_ms"] < window["max_ms"] < message["deadline_ms"]


async def connected(stack: contextlib.AsyncExitStack, hub: RunningHub, user: str, *channels: str) -> Wire:
    """A connection of `user`, subscribed to `channels`, until the end of `stack`."""
    token = hub.token(user, ttl=DAY_S, claims={"iat": int(time.time() - 7200)}, **GRANTS)
    wire = await stack.enter_async_context(connect(hub.ws_url, token))
    for channel in channels:
        await wire.ask("subscribe", channel=channel)
    return wire


def terminate(hub: RunningHub) -> float:
    """SIGTERM; when."""
    hub.process.send_signal(signal.SIGTERM)
    return time.monotonic()


async def status(hub: RunningHub, within: float) -> int:
    """The exit status, in so many seconds."""
    return await asyncio.to_thread(hub.process.wait, within * SCALE)


async def get(hub: RunningHub, path: str) -> httpx.Response:
    """One request over a connection of its own."""
    headers = {"Authorization": f"Bearer {hub.api_key}"}
    async with httpx.AsyncClient(base_url=hub.url, headers=headers, trust_env=False) as http:
        return await http.get(path)


async def red(hub: RunningHub) -> httpx.Response:
    """The answer of /readyz, once it is red."""
    async with asyncio.timeout(5 * SCALE):
        while (answer := await get(hub, "/readyz")).status_code == 200:
            await asyncio.sleep(0.02)
    return answer


async def refusal(hub: RunningHub) -> InvalidStatus:
    """The answer to a WebSocket handshake, once none is admitted any more."""
    async with asyncio.timeout(10 * SCALE):
        while True:
            try:
                async with connect(hub.ws_url, hub.token("late")):
                    await asyncio.sleep(0.05)
            except InvalidStatus as refused:
                return refused


async def test_the_order_of_a_departure() -> None:
    notice = 1.0 * SCALE
    origin = "https://good.example"
    with running_hub(drain_notice=notice, drain_seconds=1, allowed_origins=[origin]) as hub:
        async with contextlib.AsyncExitStack() as stack:
            wires = [await connected(stack, hub, "ann", "doc:1") for _ in range(3)]
            flow = Flow(hub, "doc:1")
            begun = terminate(hub)

            assert "the node is draining" in (await red(hub)).json()["reasons"]
            assert time.monotonic() - begun < notice / 2, "readiness turns red at once, not after the notice"
            assert (await get(hub, "/livez")).status_code == 200
            wires.append(await connected(stack, hub, "newcomer", "doc:1"))
            assert time.monotonic() - begun < notice

            refused = await refusal(hub)
            assert time.monotonic() - begun >= notice
            said = problem(refused)
            assert (said["status"], said["code"]) == (503, "unavailable")
            assert "going away" in said["reason"]
            assert refused.response.headers["Content-Type"] == "application/problem+json"
            assert int(refused.response.headers["Retry-After"]) >= 1
            async with connect(hub.ws_url, hub.token("page"), origin=origin, welcomed=False) as page:
                assert "going away" in (await page.expect("hub.error"))["reason"]
                assert (await page.expect("hub.close"))["reconnect"] is not None
                assert await page.closed() == 4103

            for wire in wires:
                check_drain((await wire.until("hub.drain"))[-1])
            assert (await get(hub, "/livez")).status_code == 200
            assert (await get(hub, "/readyz")).status_code == 503
            top = (await get(hub, "/v1/channels/doc:1")).json()["offset"]
            assert top >= len(flow.answered) > 0
            for wire in wires:
                assert (await wire.ask("ping"))["type"] == "hub.pong"
        left = time.monotonic()
        await flow.end()
        assert flow.ended_at > left, "HTTP is served as long as there are connections"
        assert await status(hub, 3) == 0
        assert "drained" in hub.log()


async def test_who_stays_is_closed_at_its_own_moment_and_gets_everything_until_then() -> None:
    count, drain = 40, 1.5
    with running_hub(drain_notice=NOTICE_S, drain_seconds=drain) as hub:
        async with contextlib.AsyncExitStack() as stack:
            guests = [Guest(await connected(stack, hub, f"u{n}", "doc:1")) for n in range(count)]
            flow = Flow(hub, "doc:1")
            terminate(hub)
            await asyncio.gather(*(guest.end() for guest in guests))
            await flow.end()
            assert await status(hub, END_S) == 0
    for guest in guests:
        guest.check_sent_away()
        assert guest.ticks == list(range(1, len(guest.ticks) + 1)), "in order, none missing, none twice"
        due = sum(at < guest.ended_at - LATE_S / 2 * SCALE for at in flow.answered)
        assert len(guest.ticks) >= due
        types = [message["type"] for message in guest.messages]
        assert "tick" in types[types.index("hub.drain") :]
    for times in ([guest.told_at for guest in guests], [guest.ended_at for guest in guests]):
        times.sort()
        assert 0.5 * drain < times[-1] - times[0] < drain + LATE_S * SCALE
        assert times[count * 3 // 4] - times[count // 4] > 0.25 * drain, "spread, not in two crowds"


@pytest.mark.parametrize("phase", ["notice", "spread"])
async def test_a_second_sigterm_ends_it_at_once(phase: str) -> None:
    with running_hub(drain_notice=60 if phase == "notice" else 0, drain_seconds=60) as hub:
        async with contextlib.AsyncExitStack() as stack:
            guests = [Guest(await connected(stack, hub, "ann")) for _ in range(3)]
            terminate(hub)
            if phase == "notice":
                await red(hub)
            else:
                await refusal(hub)
            begun = terminate(hub)
            assert await status(hub, 5) == 0
            assert time.monotonic() - begun < 2 * SCALE
            for guest in guests:
                await guest.end()
                assert guest.code == 4100
                assert guest.messages[-1]["type"] == "hub.close"
                assert guest.messages[-1]["reconnect"]["max_ms"] > 1000, "nobody paced it: a wider window"


class Start:
    """A `hub serve` that was begun a moment ago."""

    def __init__(self, folder: Path, *args: str, **settings: Any) -> None:
        self.port = free_port()
        self._log = folder / "log"
        command = [_script(), "serve", "--host", "127.0.0.1", "--port", str(self.port), *args]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=_environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def log(self) -> str:
        return self._log.read_text()

    def until_logged(self, words: str) -> None:
        deadline = time.monotonic() + 20 * SCALE
        while words not in self.log():
            assert time.monotonic() < deadline, self.log()
            assert self.process.poll() is None, self.log()
            time.sleep(0.002)

    def processes(self) -> list[int]:
        """The process and its workers, wherever they hang in the tree of processes."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes().split(b"\0")
                if b"serve" in words and str(self.port).encode() in words:
                    found.append(int(path.parent.name))
        return found

    def check_end(self, *expected: int) -> None:
        """SIGTERM: it ends soon with one of these statuses, in silence, and leaves no worker behind."""
        self.process.send_signal(signal.SIGTERM)
        try:
            ended = self.process.wait(5 * SCALE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"SIGTERM went unheard by {self.processes()}:\n{self.log()}") from None
        assert ended in expected, self.log()
        assert self.processes() == []
        assert "Traceback" not in self.log()
        assert "ERROR" not in self.log()


@contextlib.contextmanager
def starting(folder: Path, *args: str, **settings: Any) -> Iterator[Start]:
    start = Start(folder, *args, **settings)
    try:
        yield start
    finally:
        for pid in start.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        start.process.wait()


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.5])
def test_sigterm_during_the_start(delay: float, tmp_path: Path) -> None:
    with starting(tmp_path) as start:
        time.sleep(delay)
        start.check_end(0, -signal.SIGTERM)


def test_sigterm_while_the_start_waits_for_redis(tmp_path: Path) -> None:
    with starting(tmp_path, broker=f"redis://127.0.0.1:{free_port()}") as start:
        start.until_logged("listening on")
        start.until_logged("hub.broker")
        start.check_end(0)


@pytest.mark.parametrize("delay", [0.3, 0.5, 0.7])
async def test_sigterm_during_the_start_of_workers(delay: float, tmp_path: Path, redis: RedisServer) -> None:
    with starting(tmp_path, "--workers", "2", broker=redis.url) as start:
        time.sleep(delay)
        start.check_end(0, -signal.SIGTERM)


@pytest.mark.parametrize("delay", [0.0, 0.005])
async def test_sigterm_while_workers_are_made(delay: float, tmp_path: Path, redis: RedisServer) -> None:
    with starting(tmp_path, "--workers", "2", broker=redis.url) as start:
        start.until_logged("2 workers")
        time.sleep(delay)
        start.check_end(0, -signal.SIGTERM)


async def test_sigterm_while_a_worker_is_replaced(tmp_path: Path, redis: RedisServer) -> None:
    with starting(tmp_path, "--workers", "2", broker=redis.url) as start:
        start.until_logged("2 workers")
        async with asyncio.timeout(5 * SCALE):
            while len(start.processes()) < 3:
                await asyncio.sleep(0.01)
        os.kill(max(set(start.processes()) - {start.process.pid}), signal.SIGKILL)
        start.until_logged("starting another")
        start.check_end(0)


async def test_workers_end_with_their_supervisor(redis: RedisServer) -> None:
    """They leave the port at once, so that a new hub has it alone, and go with all that their clients need."""
    with running_hub("--workers", "2", broker=redis.url, drain_notice=5, drain_seconds=30) as hub:
        async with connect(hub.ws_url, hub.token("ann", **GRANTS)) as wire:
            await wire.ask("subscribe", channel="doc:1")
            workers = [
                int(pid) for pid in Path(f"/proc/{hub.pid}/task/{hub.pid}/children").read_text().split()
            ]
            assert len(workers) == 2
            hub.process.kill()
            hub.process.wait()
            await wire.until("hub.drain")
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", hub.port)
            assert await wire.closed(STAY_S + LATE_S) == 4100
        async with asyncio.timeout(END_S * SCALE):
            while any(Path(f"/proc/{pid}/cmdline").exists() for pid in workers):
                await asyncio.sleep(0.1)
        assert "the supervisor of the workers is gone" in hub.log()


async def test_redis_is_away(redis: RedisServer) -> None:
    drain = 1.0
    with running_hub(broker=redis.url, drain_notice=NOTICE_S, drain_seconds=drain) as hub:
        async with contextlib.AsyncExitStack() as stack:
            channels = ("doc:1", "job:1")
            guests = [Guest(await connected(stack, hub, f"u{n}", *channels), polite=True) for n in range(20)]
            await redis.kill()
            terminate(hub)
            await asyncio.gather(*(guest.end() for guest in guests))
            assert await status(hub, NOTICE_S + drain + END_S) == 0
        assert "ERROR" not in hub.log()
    for guest in guests:
        check_drain(next(message for message in guest.messages if message["type"] == "hub.drain"))
        assert guest.code == 1000


async def test_the_wall_clock_jumps_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "hub"
    script.write_text(JUMPY.format(python=sys.executable))
    script.chmod(0o755)
    monkeypatch.setattr("tests.support.server._script", lambda: str(script))
    settings: dict[str, Any] = {"drain_notice": NOTICE_S, "drain_seconds": 1.0, "heartbeat_ms": 1000}
    with running_hub(**settings) as forth, running_hub(**settings) as back:
        await asyncio.gather(_depart(forth, signal.SIGUSR1, 3600), _depart(back, signal.SIGUSR2, -3600))


async def _depart(hub: RunningHub, jump: signal.Signals, seconds: float) -> None:
    """The clock jumps: the departure neither ends nor lasts longer, and nobody goes early or in silence."""
    async with contextlib.AsyncExitStack() as stack:
        guests = [Guest(await connected(stack, hub, f"u{n}")) for n in range(8)]
        asker = await connected(stack, hub, "asker")
        begun = terminate(hub)
        async with asyncio.timeout(5 * SCALE):
            while not any(guest.told_at for guest in guests):
                await asyncio.sleep(0.02)
        hub.process.send_signal(jump)
        async with asyncio.timeout(2 * SCALE):
            while abs((await asker.ask("ping"))["time"] / 1000 - time.time() - seconds) > 60:
                await asyncio.sleep(0.02)
        await asker.websocket.close()
        await asyncio.gather(*(guest.end() for guest in guests))
        assert await status(hub, END_S) == 0
        took = time.monotonic() - begun
    for guest in guests:
        guest.check_sent_away()
        assert {message["type"] for message in guest.messages} == {"hub.drain", "hub.close"}
    assert NOTICE_S + STAY_S < took < NOTICE_S + 1.0 + STAY_S + 2 * LATE_S * SCALE


async def test_who_does_not_read_is_cut_and_delays_nothing() -> None:
    patience = 1.0
    with running_hub(drain_notice=0, drain_seconds=0, close_timeout=patience) as hub:
        async with contextlib.AsyncExitStack() as stack:
            slow = await connected(stack, hub, "slow", "doc:1")
            quick = Guest(await connected(stack, hub, "quick"), polite=True)
            await _fill(hub, slow)
            begun = terminate(hub)
            await quick.end()
            assert quick.code == 1000
            assert await status(hub, STAY_S + patience + END_S) == 0
            assert time.monotonic() - begun < STAY_S + patience + 2 * LATE_S * SCALE
            assert await slow.closed() in (1006, 4100)
        assert "graceful shutdown exceeded" not in hub.log()


async def _fill(hub: RunningHub, slow: Wire) -> None:
    """Publish until most of what may wait for `slow` waits for it."""
    events = [{"channel": "doc:1", "event": "big", "payload": "x" * 8000}] * 10
    headers = {"Authorization": f"Bearer {hub.api_key}"}
    async with (
        httpx.AsyncClient(base_url=hub.url, headers=headers, trust_env=False) as http,
        asyncio.timeout(20 * SCALE),
    ):
        while True:
            (await http.post("/v1/batch", json={"events": events})).raise_for_status()
            answer = await http.get("/v1/connections", params={"connection": slow.id})
            (found,) = answer.json()["connections"]
            if found["outbox"]["blocked"] and found["outbox"]["bytes"] > 700_000:
                return

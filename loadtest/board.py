"""A board of jobs with viewers that keep up and viewers that do not: ``python -m loadtest.board``.

1,000 jobs publish an event each every 2 s, in batches, to one `state` channel. 200 viewers read as it comes, 20
read at a tenth of that pace. Printed is what each kind received, whether all final states are right, and the
hub's memory before, during and after.
"""

from __future__ import annotations

import argparse
import selectors
import socket
import sys
import time
import urllib.request
from typing import Any

import orjson

from loadtest import accounting, frames, tokens
from loadtest.machine import cores, free_port
from loadtest.server import Server, running
from loadtest.targets.hub import Hub

CHANNEL = "job:board"
BATCH = 100
EVENT_BYTES = 330  # an event's frame, about: what a tenth of the pace is a tenth of


class Viewer:
    """One viewer. `pace` is bytes a second, None as fast as it comes."""

    def __init__(self, port: int, token: str, pace: float | None) -> None:
        self.pace = pace
        self.events = self.conflated = self.merged_away = 0
        self.last: dict[str, dict[str, Any]] = {}
        self.disorder = self.restarts = 0
        self.closed: int | None = None
        self._offset = 0
        self._data = b""
        self._allowance = 0.0
        self.socket = socket.socket()
        if pace is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(frames.upgrade_request(f"/ws?token={token}", "127.0.0.1"))
        while (head := frames.split_head(self._data)) is None:
            self._data += self.socket.recv(65536)
        assert head[0] == 101, self._data
        self._data = head[2]
        subscribe = orjson.dumps({"type": "subscribe", "channel": CHANNEL})
        self.socket.sendall(frames.client_frame(frames.TEXT, subscribe))
        self.socket.setblocking(False)

    def read(self, seconds: float) -> None:
        """Read what there is, or what `pace` allows for the `seconds` that have passed."""
        if self.pace is not None:
            self._allowance = min(self._allowance + self.pace * seconds, self.pace)
            size = int(self._allowance)
        else:
            size = 1 << 20
        if size <= 0 or self.closed is not None:
            return
        try:
            data = self.socket.recv(size)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.closed = self.closed or 1006
            return
        self._allowance -= len(data)
        self._data += data
        found, used = frames.split_frames(self._data)
        self._data = self._data[used:]
        for opcode, payload in found:
            if opcode == frames.TEXT:
                self._message(payload)
            elif opcode == frames.CLOSE:
                self.closed = frames.close_code(payload)
            elif opcode == frames.PING:
                self.socket.send(frames.client_frame(frames.PONG, payload))

    def _message(self, payload: bytes) -> None:
        message = orjson.loads(payload)
        if message["type"] in ("hub.subscribed", "hub.resubscribe"):
            self.restarts += message["type"] == "hub.resubscribe"
            self._offset = message["offset"]
            self.last = {event["key"]: event for event in message.get("snapshot", ())}
        elif message["type"] == "hub.snapshot":
            self.last.update({event["key"]: event for event in message["events"]})
        elif not message["type"].startswith("hub."):
            self.events += 1
            merged = message.get("conflated", 0)
            self.conflated += bool(merged)
            self.merged_away += merged
            self.disorder += message["offset"] != self._offset + 1 + merged
            self._offset = message["offset"]
            self.last[message["key"]] = message


class Board:
    """The jobs."""

    def __init__(self, port: int, api_key: str, jobs: int) -> None:
        self._url = f"http://127.0.0.1:{port}/v1/batch"
        self._headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
        self._jobs = jobs
        self._next = 0
        self._round = 0
        self.published = 0

    def step(self, final: bool = False) -> None:
        """Publish for the next `BATCH` jobs."""
        events = [self._event(number, final) for number in range(self._next, self._next + BATCH)]
        self._next = (self._next + BATCH) % self._jobs
        self._round += self._next == 0
        body = orjson.dumps({"events": events})
        request = urllib.request.Request(self._url, body, self._headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            results = orjson.loads(answer.read())["results"]
        assert all("offset" in result for result in results), results[0]
        self.published += len(results)

    def _event(self, number: int, final: bool) -> dict[str, Any]:
        state = "succeeded" if final else "running"
        payload = {"state": state, "progress": 100 if final else self._round % 100, "note": "x" * 120}
        return {
            "channel": CHANNEL,
            "event": "job_status",
            "key": str(number),
            "payload": payload,
            "final": final,
        }


def main() -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.board", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--healthy", type=int, default=200)
    parser.add_argument("--slow", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    target = Hub(free_port(), secret="board-secret-of-a-server-that-lives-for-seconds")
    with running(target, cores()[0]) as server:
        return _run(options, target, server)


def _run(options: argparse.Namespace, target: Hub, server: Server) -> int:
    token = tokens.user_token("viewer", target.secret, subscribe=["job:*"])
    pace = options.jobs / 2 * EVENT_BYTES / 10
    board = Board(target.port, target.api_key, options.jobs)
    for _ in range(options.jobs // BATCH):
        board.step()
    before = accounting.pss_bytes(server.pid)
    viewers = [Viewer(target.port, token, None) for _ in range(min(options.healthy, 190))]
    other = tokens.user_token("other", target.secret, subscribe=["job:*"])
    viewers += [Viewer(target.port, other, None) for _ in range(options.healthy - len(viewers))]
    slow = [Viewer(target.port, other, pace) for _ in range(options.slow)]
    watch = selectors.DefaultSelector()
    for viewer in viewers:
        watch.register(viewer.socket, selectors.EVENT_READ, viewer)
    during = _publish(board, options, watch, slow, server)
    waited = _finish(board, options, watch, slow)
    after = accounting.pss_bytes(server.pid)
    _print("healthy", viewers, options, board)
    _print("slow", slow, options, board)
    print(f"the slow were through {waited:.0f} s after the last event")
    print(f"hub PSS: before {before / 1e6:.1f} MB, during {during / 1e6:.1f} MB, after {after / 1e6:.1f} MB")
    good = all(_right(viewer, options) for viewer in [*viewers, *slow])
    print("all final states right" if good else "WRONG")
    return 0 if good and not any(viewer.conflated for viewer in viewers) else 1


def _publish(
    board: Board,
    options: argparse.Namespace,
    watch: selectors.BaseSelector,
    slow: list[Viewer],
    server: Server,
) -> int:
    """Publish at the pace of the jobs while all read; returns the hub's highest memory."""
    every = 2.0 * BATCH / options.jobs
    begin = time.monotonic()
    steps = 0
    most = 0
    while (now := time.monotonic()) - begin < options.seconds:
        if now >= begin + steps * every:
            board.step()
            steps += 1
            if steps % 10 == 0:
                most = max(most, accounting.pss_bytes(server.pid))
        _read(watch, slow, 0.02)
    for _ in range(options.jobs // BATCH):
        board.step(final=True)
        _read(watch, slow, 0.02)
    return most


def _finish(
    board: Board, options: argparse.Namespace, watch: selectors.BaseSelector, slow: list[Viewer]
) -> float:
    """Until everybody has the final states, three minutes at the most."""
    begin = time.monotonic()
    while time.monotonic() - begin < 180 and not all(_right(viewer, options) for viewer in slow):
        _read(watch, slow, 0.05)
    return time.monotonic() - begin


_last = time.monotonic()


def _read(watch: selectors.BaseSelector, slow: list[Viewer], seconds: float) -> None:
    global _last
    for key, _ in watch.select(seconds):
        key.data.read(0.0)
        if key.data.closed is not None:
            watch.unregister(key.fileobj)
    now = time.monotonic()
    for viewer in slow:
        viewer.read(now - _last)
    _last = now


def _right(viewer: Viewer, options: argparse.Namespace) -> bool:
    last = viewer.last
    return (
        not viewer.disorder
        and len(last) == options.jobs
        and all(event["payload"]["state"] == "succeeded" for event in last.values())
    )


def _print(name: str, viewers: list[Viewer], options: argparse.Namespace, board: Board) -> None:
    count = len(viewers)
    if not count:
        return
    right = sum(_right(viewer, options) for viewer in viewers)
    print(
        f"{name}: {count} viewers, {board.published - options.jobs} events published while they watched; each got "
        f"{sum(v.events for v in viewers) / count:.0f}, with `conflated` on "
        f"{sum(v.conflated for v in viewers) / count:.0f} (in place of "
        f"{sum(v.merged_away for v in viewers) / count:.0f} merged away); out of order "
        f"{sum(v.disorder for v in viewers)}; told of a gap {sum(v.restarts for v in viewers)}; closed "
        f"{sum(v.closed is not None for v in viewers)}; "
        f"all final states right at {right} of {count}"
    )


if __name__ == "__main__":
    sys.exit(main())

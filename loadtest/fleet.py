"""Thousands of WebSocket clients in one thread: one epoll, one buffer, no task and no object a message.

The hot path is ``_receive``: every receiver of a fan-out gets the same bytes, so what a chunk means is
worked out once and remembered; the other sockets pay one read and one dictionary look-up.
"""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING

from loadtest import frames
from loadtest.connection import Connection, Phase
from loadtest.latency import Latencies, Timeline
from loadtest.ledger import Count, Receiver, marks, run_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loadtest.publishing import Publisher
    from loadtest.targets.base import Target

#: (channel, first, last, ((time, how many), …)): what a chunk of whole event frames means.
_Meaning = tuple[int, int, int, tuple[tuple[int, int], ...]]
_MEMO_ENTRIES = 4096
_BUFFER_BYTES = 1 << 18
_READ, _WRITE = select.EPOLLIN, select.EPOLLOUT


class ClientFailed(Exception):
    """A client could not get in, or was thrown out, where the scenario allows neither."""


class Fleet:
    """The clients of one load process. ``count`` and ``latencies`` are totals over all of them."""

    def __init__(self, target: Target, *, sources: Sequence[str] = ("127.0.0.1",)) -> None:
        self.target = target
        self.sources = sources
        self.count = Count()
        self.latencies = Latencies()
        self.timeline: Timeline | None = None
        self.join_latencies = Latencies()
        self.receivers: dict[int, Receiver] = {}
        self.connections: dict[int, Connection] = {}
        self.live = 0
        self.closed: list[Connection] = []
        self.receive_buffer = 0
        self.on_control: Callable[[Connection, bytes], None] | None = None
        self.on_closed: Callable[[Connection, str], None] = _refuse_loss
        self.on_live: Callable[[Connection], None] | None = None
        self._publishers: dict[int, Publisher] = {}
        self._epoll = select.epoll()
        self._memo: dict[bytes, _Meaning] = {}
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)

    # -- clients ---------------------------------------------------------------------------------

    def open(
        self,
        slot: int,
        channels: tuple[int, ...],
        *,
        query: str = "",
        request: bytes | None = None,
        port: int = 0,
    ) -> Connection:
        """Begin one connection of client ``slot``; it is live once its subscriptions are answered."""
        receiver = self.receivers.setdefault(slot, Receiver())
        request = request or self.target.open_request(slot, channels, query)
        connection = Connection(slot, channels, receiver, request)
        connection.began_ns = time.perf_counter_ns()
        self.connections[connection.fd] = connection
        connection.start(
            self.sources[slot % len(self.sources)],
            (self.target.host, port or self.target.port),
            receive_buffer=self.receive_buffer,
        )
        self._epoll.register(connection.fd, _WRITE)
        return connection

    def connect_all(
        self,
        plan: Sequence[tuple[int, tuple[int, ...]]],
        *,
        in_flight: int = 100,
        deadline: float = 120.0,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Open every (slot, channels) of ``plan``, at most ``in_flight`` at a time, until all are live."""
        waiting = iter(plan)
        wanted, begun, before = self.live + len(plan), 0, self.live
        ends = time.monotonic() + deadline
        while self.live < wanted:
            while begun < len(plan) and begun - (self.live - before) < in_flight:
                self.open(*next(waiting))
                begun += 1
            self.poll(0.1)
            if progress:
                progress(self.live - before)
            if time.monotonic() > ends:
                raise ClientFailed(f"{wanted - self.live} of {len(plan)} clients not in after {deadline:g} s")

    def close(self, connection: Connection) -> None:
        """Drop a socket without a word, as a lost link does."""
        if connection.phase is Phase.CLOSED:
            return
        if connection.phase is Phase.LIVE:
            self.live -= 1
        connection.phase = Phase.CLOSED
        self._epoll.unregister(connection.fd)
        del self.connections[connection.fd]
        connection.sock.close()

    def close_all(self) -> None:
        for connection in list(self.connections.values()):
            self.close(connection)
        for publisher in list(self._publishers.values()):
            self.detach(publisher)

    def send(self, connection: Connection, data: bytes) -> None:
        idle = not connection.unsent
        connection.unsent += data
        if idle and not connection.flush():
            self._epoll.modify(connection.fd, _READ | _WRITE)

    # -- publishers share the epoll, so that publishing and receiving are one clock -----------------

    def attach(self, publisher: Publisher) -> None:
        self._publishers[publisher.fd] = publisher
        self._epoll.register(publisher.fd, _READ)

    def detach(self, publisher: Publisher) -> None:
        del self._publishers[publisher.fd]
        self._epoll.unregister(publisher.fd)
        publisher.close()

    def publish(self, publisher: Publisher, data: bytes, answers: int) -> None:
        if publisher.closed:
            publisher.open()
            self.attach(publisher)
        publisher.send(data, answers)
        if publisher.unsent:
            self._epoll.modify(publisher.fd, _READ | _WRITE)

    # -- the loop ----------------------------------------------------------------------------------

    def poll(self, timeout: float) -> int:
        """Handle what is ready, waiting at most ``timeout`` seconds; how many sockets were."""
        ready = self._epoll.poll(timeout, 1024)
        for fd, events in ready:
            connection = self.connections.get(fd)
            if connection is None:
                self._publisher_ready(fd, events)
            elif connection.phase is Phase.LIVE and events == _READ:
                self._receive(connection)
            elif connection.phase is Phase.CONNECTING:
                self._connected(connection)
            else:
                self._mixed(connection, events)
        return len(ready)

    def poll_until(self, condition: Callable[[], bool], deadline: float) -> bool:
        """Poll until ``condition``; False when ``deadline`` seconds passed before."""
        ends = time.monotonic() + deadline
        while not condition():
            if time.monotonic() > ends:
                return False
            self.poll(0.05)
        return True

    def fileno(self) -> int:
        """The epoll itself, so that several fleets can be waited for together."""
        return self._epoll.fileno()

    def poll_for(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            self.poll(min(left, 0.25))

    def _publisher_ready(self, fd: int, events: int) -> None:
        publisher = self._publishers.get(fd)
        if publisher is None:
            return  # closed earlier in this same batch of events
        if events & _WRITE and publisher.flush():
            self._epoll.modify(fd, _READ)
        if events & ~_WRITE:
            publisher.receive()
            if publisher.closed:
                self.detach(publisher)

    def _connected(self, connection: Connection) -> None:
        error = connection.failure()
        if error:
            self._lose(connection, f"connect failed with errno {error}")
            return
        connection.phase = Phase.UPGRADING
        self._epoll.modify(connection.fd, _READ if connection.flush() else _READ | _WRITE)

    def _mixed(self, connection: Connection, events: int) -> None:
        if events & _WRITE and connection.flush():
            self._epoll.modify(connection.fd, _READ)
        if events & ~_WRITE:
            self._receive(connection)

    def _receive(self, connection: Connection) -> None:
        try:
            size = connection.sock.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(connection, str(error))
            return
        if not size:
            self._lose(connection, "closed by the server")
            return
        chunk = bytes(self._view[:size])
        meaning = self._memo.get(chunk)
        if meaning is None or connection.pending or connection.phase is not Phase.LIVE:
            self._slowly(connection, chunk)
        else:
            self._enter(connection, meaning)

    def _enter(self, connection: Connection, meaning: _Meaning) -> None:
        channel, first, last, times = meaning
        now = time.perf_counter_ns()
        seen = connection.receiver.last
        if seen.get(channel) == first - 1:
            seen[channel] = last
            self.count.delivered += last - first + 1
        else:
            for sequence in range(first, last + 1):
                connection.receiver.take(channel, sequence, self.count)
        for published, weight in times:
            self._time(now, published, weight)

    def _time(self, now: int, published: int, weight: int) -> None:
        micros = (now - published) // 1000
        self.latencies.counts[micros] += weight
        self.latencies.total += weight
        if self.timeline is not None:
            self.timeline.add(now / 1e9, micros, weight)

    def _slowly(self, connection: Connection, chunk: bytes) -> None:
        data = connection.pending + chunk
        if connection.phase is Phase.UPGRADING:
            upgraded = self._upgraded(connection, data)
            if upgraded is None:
                return
            data = upgraded
        found, taken = frames.split_frames(data)
        connection.pending = data[taken:]
        events_only = taken == len(data) and connection.phase is Phase.LIVE
        whole: list[tuple[int, int, int]] = []
        for opcode, payload in found:
            if opcode in (frames.TEXT, frames.BINARY) and not self.target.is_control(payload):
                marked = marks(payload)
                whole.extend(marked)
                self._take(connection, marked)
            else:
                events_only = False
                self._control(connection, opcode, payload)
                if connection.phase is Phase.CLOSED:
                    return
        if events_only and whole and data == chunk:
            self._remember(chunk, whole)

    def _take(self, connection: Connection, marked: list[tuple[int, int, int]]) -> None:
        now = time.perf_counter_ns()
        for channel, sequence, published in marked:
            connection.receiver.take(channel, sequence, self.count)
            self._time(now, published, 1)

    def _remember(self, chunk: bytes, whole: list[tuple[int, int, int]]) -> None:
        run = run_of(whole)
        if run is None:
            return
        if len(self._memo) >= _MEMO_ENTRIES:
            self._memo.clear()
        times: dict[int, int] = {}
        for _, _, published in whole:
            times[published] = times.get(published, 0) + 1
        self._memo[chunk] = (*run, tuple(times.items()))

    def _upgraded(self, connection: Connection, data: bytes) -> bytes | None:
        parsed = frames.split_head(data)
        if parsed is None:
            connection.pending = data
            return None
        status, head, rest = parsed
        if status != 101:
            connection.retry_after = frames.retry_after(head)
            self._lose(connection, f"refused with HTTP {status}: {rest[:300].decode('latin-1')}")
            return None
        connection.pending = b""
        connection.phase = Phase.JOINING
        hello = self.target.after_open(connection.slot, connection.channels)
        if hello:
            self.send(connection, hello)
        if self.target.replies_wanted(connection.channels) == 0:
            self._joined(connection)
        return rest

    def _control(self, connection: Connection, opcode: int, payload: bytes) -> None:
        if opcode == frames.PING:
            self.send(connection, frames.client_frame(frames.PONG, payload))
        elif opcode == frames.CLOSE:
            connection.close_code = frames.close_code(payload)
            self._lose(connection, f"closed with {connection.close_code}: {payload[2:].decode('latin-1')}")
        elif opcode in (frames.TEXT, frames.BINARY):
            self._message(connection, payload)

    def _message(self, connection: Connection, payload: bytes) -> None:
        answer = self.target.answer(payload)
        if answer:
            self.send(connection, answer)
        if refusal := self.target.refusal(payload):
            self._lose(connection, refusal)
            return
        if self.on_control is not None:
            self.on_control(connection, payload)
        if connection.phase is Phase.JOINING and (joined := self.target.is_joined(payload)):
            connection.replies += joined
            if connection.replies >= self.target.replies_wanted(connection.channels):
                self._joined(connection)
        if self.target.replays_in_replies:
            self._take(connection, marks(payload))

    def _joined(self, connection: Connection) -> None:
        connection.phase = Phase.LIVE
        self.live += 1
        self.join_latencies.add((time.perf_counter_ns() - connection.began_ns) // 1000)
        if self.on_live is not None:
            self.on_live(connection)

    def _lose(self, connection: Connection, why: str) -> None:
        self.close(connection)
        self.closed.append(connection)
        self.on_closed(connection, why)


def poll_together(fleets: Sequence[Fleet], seconds: float) -> None:
    """Serve several fleets for so long, none waiting for another."""
    ends = time.monotonic() + seconds
    with select.epoll() as either:
        by_number = {fleet.fileno(): fleet for fleet in fleets}
        for number in by_number:
            either.register(number, _READ)
        while (left := ends - time.monotonic()) > 0:
            for number, _ in either.poll(min(left, 0.25)):
                by_number[number].poll(0)


def _refuse_loss(connection: Connection, why: str) -> None:
    raise ClientFailed(f"client {connection.slot}: {why}")

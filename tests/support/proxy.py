"""A TCP proxy with faults, for links that are neither up nor down: it can cut, delay, swallow and refuse."""

import asyncio
import contextlib
from collections.abc import Callable

_CHUNK = 65536


class Proxy:
    """Between a client and a server on the loopback. Faults apply to the connections that `only` picks by
    their number (from 0, in the order in which they came), else to all, also to those made later.
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self.swallowing = False  # bytes of both directions vanish, and the sockets stay open
        self.muting = False  # bytes towards the server vanish, those from it come
        self.holding = False  # bytes of both directions wait, and come when it is healed
        self.refusing = False  # new connections are closed at once
        self.delay_s = 0.0  # each way
        self.only: Callable[[int], bool] = lambda number: True
        self.connections = 0
        self.target = (host, port)  # of the connections that come from now on
        self._server: asyncio.Server | None = None
        self._writers: dict[int, list[asyncio.StreamWriter]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> "Proxy":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def heal(self) -> None:
        """No fault from now on. What was swallowed is gone."""
        self.swallowing = self.muting = self.refusing = self.holding = False
        self.delay_s = 0.0
        self.only = lambda number: True

    def open_connections(self) -> list[int]:
        """The numbers of the connections that stand."""
        return list(self._writers)

    def number_of(self, port: int) -> int:
        """The number of the connection that the server sees coming from `port`."""
        for number, (_, up_writer) in self._writers.items():
            if up_writer.get_extra_info("sockname")[1] == port:
                return number
        raise LookupError(f"no connection from {port}")

    def cut(self) -> None:
        """Reset the connections."""
        for number, writers in list(self._writers.items()):
            if self.only(number):
                for writer in writers:
                    writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.connections
        self.connections += 1
        if self.refusing and self.only(number):
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(number, reader, writer)
        except asyncio.CancelledError:
            pass  # by `close`; asyncio's own callback stumbles over a cancelled task before Python 3.12
        finally:
            self._tasks.discard(task)
            self._writers.pop(number, None)
            writer.transport.abort()

    async def _serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection(*self.target)
        except OSError:
            return
        self._writers[number] = [writer, up_writer]
        pipes = [
            asyncio.create_task(self._pipe(number, reader, up_writer, up=True)),
            asyncio.create_task(self._pipe(number, up_reader, writer, up=False)),
        ]
        try:
            await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pipe in pipes:
                pipe.cancel()
            await asyncio.gather(*pipes, return_exceptions=True)
            up_writer.transport.abort()

    async def _pipe(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(_CHUNK):
                while self.holding and self.only(number):
                    await asyncio.sleep(0.02)
                if self.delay_s and self.only(number):
                    await asyncio.sleep(self.delay_s)
                if (self.swallowing or (self.muting and up)) and self.only(number):
                    continue
                writer.write(data)
                await writer.drain()

"""The other workers of the same port. A balancer's question reaches one worker, and the answer is for all.

Each worker listens on a Unix socket in a folder of the supervisor's (mode 0700): a question is a line, the
answer is one JSON line.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import orjson

DEADLINE_S = 1.0
LONGEST = 2**22  # bytes of an answer

Answer = Callable[[], Any]


class WorkerIpc(Protocol):
    """How a worker asks the others. `index` is its own place at the port."""

    index: int

    async def start(self, answers: Mapping[str, Answer]) -> None:
        """Begin to answer: what is asked, and what answers it with a value of JSON."""

    async def close(self) -> None:
        """Answer no more."""

    async def ask(self, question: str) -> list[Any]:
        """The others' answers; None stands for one that did not answer in time, `Gone` for one that is not
        there just now and gets no traffic either."""


class Gone:
    """A worker that is being replaced."""


class NoWorkerIpc:
    """A process that is alone on its port."""

    index = 0

    async def start(self, answers: Mapping[str, Answer]) -> None:
        """Begin to answer: what is asked, and what answers it with a value of JSON."""

    async def close(self) -> None:
        """Answer no more."""

    async def ask(self, question: str) -> list[Any]:
        """The others' answers; None stands for one that did not answer in time, `Gone` for one that is not
        there just now and gets no traffic either."""
        return []


class UnixWorkerIpc:
    """Worker `index` of `count`, with its socket in `folder`."""

    def __init__(self, folder: Path, index: int, count: int) -> None:
        self._folder = folder
        self.index = index
        self._count = count
        self._answers: Mapping[str, Answer] = {}
        self._server: asyncio.Server | None = None

    async def start(self, answers: Mapping[str, Answer]) -> None:
        """Begin to answer: what is asked, and what answers it with a value of JSON."""
        self._answers = answers
        path = self._path(self.index)
        path.unlink(missing_ok=True)  # a worker before this one may have died
        self._server = await asyncio.start_unix_server(self._serve, path)

    async def close(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.close()
            self._path(self.index).unlink(missing_ok=True)

    async def ask(self, question: str) -> list[Any]:
        """The others' answers; None stands for one that did not answer in time, `Gone` for one that is not
        there just now and gets no traffic either."""
        others = [index for index in range(self._count) if index != self.index]
        return await asyncio.gather(*(self._ask_one(index, question) for index in others))

    async def _ask_one(self, index: int, question: str) -> Any:
        try:
            async with asyncio.timeout(DEADLINE_S):
                reader, writer = await asyncio.open_unix_connection(self._path(index), limit=LONGEST)
                try:
                    writer.write(question.encode() + b"\n")
                    return orjson.loads(await reader.readline())
                finally:
                    writer.close()
                    with contextlib.suppress(OSError):
                        await writer.wait_closed()
        except (FileNotFoundError, ConnectionRefusedError):
            return Gone()
        except (TimeoutError, OSError, ValueError):
            return None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(DEADLINE_S):
                answer = self._answers.get((await reader.readline()).decode().strip())
                writer.write(orjson.dumps(answer() if answer is not None else None) + b"\n")
                await writer.drain()
        except (TimeoutError, OSError):
            pass  # who asked has gone
        finally:
            writer.close()

    def _path(self, index: int) -> Path:
        return self._folder / f"{index}.sock"

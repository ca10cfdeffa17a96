"""Commands between nodes: signed with a secret of the nodes' own, so that who can write into the storage
cannot disconnect anybody by it, and numbered, so that who can read there cannot have one done again. What does not
verify, is too old or was here before is counted, and does nothing.
"""

import asyncio
import contextlib
import itertools
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import orjson

from ..auth.signing import Signer
from ..broker.base import Registry
from ..protocol.errors import HubError
from ..runtime.counters import Counters
from ..runtime.tasks import Tasks

log = logging.getLogger(__name__)

MAX_AGE_S = 60.0
MAX_SKEW_S = 1.0  # between the clocks of nodes: what was sent that little before a node's start is done there
Handler = Callable[[dict[str, Any]], Any]


class _Question:
    """The answers to one question; `complete` once there are as many as nodes."""

    def __init__(self, nodes: int) -> None:
        self._nodes = nodes
        self.answers: list[Any] = []
        self.complete = asyncio.Event()

    def answered(self, answer: Any) -> None:
        """One node's answer."""
        self.answers.append(answer)
        if len(self.answers) >= self._nodes:
            self.complete.set()


class CommandBus:
    """Sends commands to all nodes (this one too), and calls `handlers` by the command's name.

    A handler that returns something answers a question (`ask`).
    """

    def __init__(
        self,
        node: str,
        registry: Registry,
        signer: Signer,
        tasks: Tasks,
        counters: Counters,
        wall: Callable[[], float],
    ) -> None:
        self._node = node
        self._registry = registry
        self._signer = signer
        self._tasks = tasks
        self._counters = counters
        self._wall = wall
        self._started_at = wall()
        self.handlers: dict[str, Handler] = {}
        self._questions: dict[str, _Question] = {}
        self._numbers = itertools.count()
        self._seen: OrderedDict[tuple[str, int], float] = OrderedDict()

    async def send(self, do: str, **fields: Any) -> None:
        """Have every node do something.

        Raises:
            HubError: the storage is away, and not every node may have heard it.
        """
        command = {"do": do, "from": self._node, "number": next(self._numbers), "at": self._wall()}
        body = orjson.dumps({**fields, **command})
        await self._registry.send_command(self._signer.sign(body).encode())

    async def ask(self, do: str, nodes: int, deadline_s: float, **fields: Any) -> list[Any]:
        """Ask every node; the answers of those that answered in time, `nodes` being how many there are. This node
        answers itself, and not by way of the storage: one that is deaf still knows what it knows.

        Raises:
            HubError: the storage is away.
        """
        name = secrets.token_hex(8)
        question = self._questions[name] = _Question(nodes)
        try:
            await self.send(do, question=name, **fields)
            handler = self.handlers.get(do)
            own = None if handler is None else handler({**fields, "do": do})
            if own is not None:
                question.answered(own)
            with contextlib.suppress(TimeoutError):  # who is late is missing from the answers
                await asyncio.wait_for(question.complete.wait(), deadline_s)
            return question.answers
        finally:
            del self._questions[name]

    def on_command(self, data: bytes) -> None:
        """Bytes from the broker. Never raises: who sent them cannot be told, and the listener must live on."""
        command = self._verified(data)
        if command is None:
            self._counters.errors["foreign_command"] += 1
            return
        try:
            self._do(command)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            self._counters.errors["malformed_command"] += 1
            log.warning("a node's command %.40r is not understood here: %s", command["do"], error)

    def _verified(self, data: bytes) -> dict[str, Any] | None:
        """A fresh command that a node has signed, and that was not here before."""
        body = self._signer.verify(data.decode("latin-1"))
        try:
            command = orjson.loads(body) if body is not None else None
        except orjson.JSONDecodeError:
            return None
        if not isinstance(command, dict) or not isinstance(command.get("do"), str):
            return None
        at = command.get("at")
        if not isinstance(at, int | float) or abs(self._wall() - at) > MAX_AGE_S:
            return None
        if at < self._started_at - MAX_SKEW_S:  # another node has done it; here it can only be a repetition
            return None
        return command if self._is_new(command.get("from"), command.get("number")) else None

    def _is_new(self, node: Any, number: Any) -> bool:
        """Whether this command of a node comes for the first time; what is too old anyhow is forgotten."""
        if not isinstance(node, str) or not isinstance(number, int):
            return False
        now = self._wall()
        while self._seen and now - next(iter(self._seen.values())) > 2 * MAX_AGE_S:
            self._seen.popitem(last=False)
        new = (node, number) not in self._seen
        self._seen[node, number] = now
        return new

    def _do(self, command: dict[str, Any]) -> None:
        if command["do"] == "answer":
            question = self._questions.get(command["question"])
            if question is not None:
                question.answered(command["answer"])
            return
        if "question" in command and command["from"] == self._node:
            return  # it was answered where it was asked
        handler = self.handlers.get(command["do"])
        if handler is None:
            log.info("a node of another version asked for %.40r", command["do"])
            return
        answer = handler(command)
        if answer is not None and "question" in command:
            self._tasks.spawn(self._answer(command["question"], answer))

    async def _answer(self, question: str, answer: Any) -> None:
        try:
            await self.send("answer", question=question, answer=answer)
        except HubError as error:
            log.info("an answer to another node was lost: %s", error.reason)

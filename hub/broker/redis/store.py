"""Requests to the servers: sent where they belong, in as few writes as there are servers, and tried again
where the answer says why: a script that the server forgot, an incarnation that changed, a slot that moved.
"""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from random import getrandbits
from typing import Any

import hiredis

from ...protocol import ids
from ...protocol.errors import HubError
from .client.connection import Command, LinkError, Reply
from .client.errors import code_of, failed, interrupted, unavailable
from .client.shard import Shard
from .client.topology import Topology
from .client.tuning import Stats, Tuning
from .scripts import Script

_TRIES = 5
_ELSEWHERE = frozenset({"MOVED", "ASK", "TRYAGAIN"})
_LOOK_AGAIN = {b"incarnation": "incarnation", b"late": "clock"}
_PAUSE_S = 0.1  # before asking again where a moved slot is
_UNKNOWN = "the connection to the storage broke, the outcome is unknown: repeat it with the same event_id"


@dataclass(slots=True, eq=False)
class Request:
    """A script with its keys and its own arguments, or (script None) a plain command, `args`.

    `tag` says where it belongs. `fresh`: the incarnation was read after an earlier try. `forgotten`: how often the
    server had not known the script; who forgets it again at once is sent its source.
    """

    tag: str
    script: Script | None
    keys: tuple[str, ...]
    args: Command
    fresh: bool = False
    forgotten: int = 0


class Store:
    """Requests to the servers: sent where they belong, in as few writes as there are servers, and tried
    again where the answer says why: a script that the server forgot, an incarnation that changed, a slot
    that moved."""

    def __init__(self, topology: Topology, tuning: Tuning, stats: Stats) -> None:
        self._topology = topology
        self._tuning = tuning
        self._stats = stats

    async def one(self, request: Request) -> Reply:
        """The reply to one request.

        Raises:
            HubError: what went wrong.
        """
        shard = self._topology.of(request.tag)
        commander = shard.commander
        command = _command(request, commander.incarnation, commander.deadline())
        try:
            (reply,) = await commander.call((command,))
        except LinkError:
            raise interrupted(_UNKNOWN) from None
        remedy = _remedy(reply)
        if remedy is None:
            reply = self._settled(shard, reply)
        else:
            _prepare(request, remedy)
            await self._remedy({shard: {remedy}})
            (reply,) = await self.run([request])
        if isinstance(reply, HubError):
            raise reply
        return reply

    async def run(self, requests: Sequence[Request]) -> list[Any]:
        """For each request its reply or a `HubError`. Those of one tag are carried out in their order."""
        results: list[Any] = [None] * len(requests)
        todo: Sequence[int] = range(len(requests))
        give_up = asyncio.get_running_loop().time() + self._tuning.patience
        for attempt in range(_TRIES):
            last = attempt == _TRIES - 1 or asyncio.get_running_loop().time() > give_up
            remedies: dict[Shard, set[str]] = {}
            again: list[int] = []
            sent = [
                (shard, indexes, self._send(shard, [requests[index] for index in indexes]))
                for shard, indexes in self._route(requests, todo, results).items()
            ]
            for shard, indexes, future in sent:
                for index, reply in zip(indexes, await _replies(future, len(indexes)), strict=True):
                    remedy = _remedy(reply)
                    if remedy is None or last:
                        results[index] = self._settled(shard, reply)
                    else:
                        remedies.setdefault(shard, set()).add(remedy)
                        again.append(index)
                        _prepare(requests[index], remedy)
            if not again:
                break
            await self._remedy(remedies)
            todo = sorted(again)
        return results

    def _route(
        self, requests: Sequence[Request], todo: Sequence[int], results: list[Any]
    ) -> dict[Shard, list[int]]:
        routes: dict[Shard, list[int]] = {}
        for index in todo:
            try:
                shard = self._topology.of(requests[index].tag)
            except HubError as error:
                results[index] = error
            else:
                routes.setdefault(shard, []).append(index)
        return routes

    def _send(self, shard: Shard, requests: Sequence[Request]) -> "asyncio.Future[list[Reply]] | HubError":
        commander = shard.commander
        deadline = commander.deadline()
        try:
            return commander.call(
                [_command(request, commander.incarnation, deadline) for request in requests]
            )
        except HubError as error:
            return error

    def _settled(self, shard: Shard, reply: Reply) -> Any:
        """A reply that stands, or the error that it means."""
        if isinstance(reply, hiredis.ReplyError):
            why = str(reply).partition(", with args")[0][:200]
            self._stats.note("errors", "%s answered: %s", shard.name, why)
            return failed(str(reply))
        if isinstance(reply, list) and reply and reply[0] == b"late":
            return unavailable("the storage came to it too late, and did not do it")
        if isinstance(reply, list) and reply and reply[0] == b"incarnation":
            return unavailable("the storage is changing its master")
        return reply

    async def _remedy(self, remedies: dict[Shard, set[str]]) -> None:
        moved = False
        for shard, names in remedies.items():
            for name in names:
                self._stats.note(f"retried_{name}", "%s: asking again: %s", shard.name, name)
            with contextlib.suppress(HubError):  # the next try will say it
                if "script" in names:
                    await shard.commander.load()
                if "incarnation" in names or "clock" in names:
                    await shard.commander.refresh()
            if "master" in names:
                shard.commander.reconnect("it is a replica now")
            moved = moved or "elsewhere" in names
        if moved:
            await self._topology.relocate()
            await asyncio.sleep(random.uniform(_PAUSE_S / 2, _PAUSE_S))


async def _replies(future: "asyncio.Future[list[Reply]] | HubError", count: int) -> Sequence[Any]:
    if isinstance(future, HubError):
        return [future] * count
    try:
        return await future
    except LinkError:
        return [interrupted(_UNKNOWN)] * count


def _command(request: Request, incarnation: str, deadline: int) -> Command:
    script = request.script
    if script is None:
        return request.args
    keys = request.keys
    epoch = ids.epoch(getrandbits(ids.EPOCH_BITS))
    fresh = "1" if request.fresh else "0"
    run: Command = ("EVALSHA", script.sha) if request.forgotten < 2 else ("EVAL", script.source)
    return (*run, len(keys), *keys, incarnation, fresh, deadline, epoch, *request.args)


def _prepare(request: Request, remedy: str) -> None:
    """It will be sent again."""
    request.fresh = remedy == "incarnation"
    request.forgotten += remedy == "script"


def _remedy(reply: Reply) -> str | None:
    """What must be done before the request is sent again; None where the reply stands."""
    if isinstance(reply, list):
        return _LOOK_AGAIN.get(reply[0]) if reply and isinstance(reply[0], bytes) else None
    if not isinstance(reply, hiredis.ReplyError):
        return None
    code = code_of(str(reply))
    if code == "NOSCRIPT":
        return "script"
    if code in _ELSEWHERE:
        return "elsewhere"
    return "master" if code == "READONLY" else None

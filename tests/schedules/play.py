"""One schedule on its topology, and everything that broke a promise."""

import asyncio
import contextlib
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from ..faults.items import Item
from ..faults.judge import Ledger, Verdict, judge
from ..faults.scenario import _at_rest, _settle
from ..faults.stage import CHANNELS, HISTORY, PREFIX, Stage, _leave
from ..faults.witness import Witness
from ..support.pace import SCALE
from .lasting import OverSqlite
from .saboteur import Sabotage
from .schedule import Schedule
from .topologies import Topology, topology
from .visitors import ROOM, Visitor

WARM, AFTER = 8, 8
GRACE_S = 2.0
SETTINGS: dict[str, Any] = {
    "namespaces": {
        "system": {"history_size": HISTORY},
        "job": {"history_size": HISTORY},
        "doc": {"presence": True},
    },
    "prefix": PREFIX,
    "presence_grace": GRACE_S,
    "position_check": 5,
}
QUIET_S = 60.0  # in which every list of members must have become right


@dataclass
class Outcome:
    """What came of a schedule. `published` and `delivered` count events, `told` gaps."""

    schedule: Schedule
    published: int = 0
    delivered: int = 0
    told: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


async def play(schedule: Schedule, folder: Path, sabotage: Sabotage | None = None) -> Outcome:
    """Run it. With `sabotage` the witnesses' notes are spoiled before they are judged: then all must be wrong."""
    outcome = Outcome(schedule)
    begun = time.monotonic()
    async with contextlib.AsyncExitStack() as stack:
        servers: Topology = (
            OverSqlite(folder)
            if schedule.topology == "sqlite"
            else await stack.enter_async_context(topology(schedule.topology, folder))
        )
        stage = await _stage(stack, servers)
        visitors = _visitors(stack, stage)
        try:
            await _run(schedule, servers, stage, visitors)
            await _read_kept(stage)
            verdicts = _judge(stage, outcome, sabotage)
            if sabotage is None:
                outcome.wrong += await _at_rest(stage, verdicts)
            outcome.wrong += stage.flow.wrong
            outcome.wrong += await _presence(stage, visitors)
        except Exception as error:
            outcome.wrong.append(f"{type(error).__name__}: {error}\n{_warnings(stage)}")
    outcome.seconds = time.monotonic() - begun
    return outcome


async def _stage(stack: contextlib.AsyncExitStack, servers: Topology) -> Stage:
    link, hubs = await servers.nodes(stack, SETTINGS)
    server = servers.servers[0] if servers.servers else None
    stage = servers.stage = Stage(server, None, link, hubs)
    token = hubs[0].token("ann", subscribe=["system:*", "job:*"])
    urls = [hub.ws_url for hub in hubs]
    stage.witnesses[1] = Witness("witness 1", urls[::-1], token, CHANNELS, packed=True)
    stack.push_async_callback(_leave, stage)
    for watch in stage.watches:
        watch.start()
    for witness in stage.everyone:
        witness.come()
    await stage.until(
        lambda: all(w.place(channel)[0] for w in stage.everyone for channel in CHANNELS), "subscriptions"
    )
    return stage


def _visitors(stack: contextlib.AsyncExitStack, stage: Stage) -> list[Visitor]:
    urls = [hub.ws_url for hub in stage.hubs]
    visitors = []
    for number, at in enumerate((urls[:1], urls[1:], urls, urls)):
        user = f"visitor{number}"
        token = stage.hubs[0].token(user, subscribe=["doc:*"], presence=["doc:*"])
        visitors.append(Visitor(user, at, token))
        visitors[-1].come()
        stack.push_async_callback(visitors[-1].go)
    return visitors


async def _run(schedule: Schedule, servers: Topology, stage: Stage, visitors: list[Visitor]) -> None:
    chance = random.Random(schedule.seed)
    stage.flow.start()
    stage.hopper.hop()
    await stage.until_published(WARM)
    for step in schedule.steps:
        await stage.until_published(step.events)
        await _move(chance.choice(visitors[2:]))
        await servers.inflict(step)
        if chance.random() < 0.5:
            await _move(chance.choice(visitors[2:]))
    over = time.monotonic()
    for visitor in visitors:
        if not visitor.here:
            visitor.come()
    await visitors[3].go()
    await stage.until(
        lambda: stage.caught_up(over) and stage.all_green(), "everything to be well again", 60.0
    )
    await stage.until_published(AFTER)
    await asyncio.wait_for(stage.flow.stop(), 30.0 * SCALE)
    await _settle(stage)


def _warnings(stage: Stage) -> str:
    lines = [line for line in stage.log().splitlines() if " INFO " not in line]
    return "\n".join(lines[-40:])


async def _move(visitor: Visitor) -> None:
    if visitor.here:
        await visitor.go()
    else:
        visitor.come()


async def _read_kept(stage: Stage) -> None:
    """All that is stored in the end. The history is longer than any run."""
    hub = stage.hubs[1]
    headers = {"Authorization": f"Bearer {hub.api_key}"}
    async with httpx.AsyncClient(base_url=hub.url, headers=headers, trust_env=False) as http:
        for channel in CHANNELS:
            found: set[int] = set()
            more, since = True, None
            while more:
                params = {"limit": 1000, "since": since}
                answer = await http.get(
                    f"/v1/channels/{channel}/history", params={k: v for k, v in params.items() if v}
                )
                page = answer.json()
                if since is None:
                    since, more = f"{page['epoch']}:0", bool(page["events"])
                    continue
                found |= {event["payload"]["n"] for event in page["events"]}
                more = page["more"]
                if page["events"]:
                    since = f"{page['epoch']}:{page['events'][-1]['offset']}"
            stage.kept[channel] = found


def _judge(stage: Stage, outcome: Outcome, sabotage: Sabotage | None) -> dict[tuple[str, str], Verdict]:
    lossless = outcome.schedule.lossless
    verdicts = {}
    for channel in CHANNELS:
        told = [each for each in stage.flow.told.values() if each.channel == channel]
        outcome.published += sum(bool(each.epoch) for each in told)
        ledger = Ledger.of(told)
        ledger.kept = stage.kept[channel]
        for witness in stage.everyone:
            notes: Sequence[Item] = witness.notes[channel]
            if sabotage is not None:
                notes = sabotage(notes)
            verdict = judge(notes, ledger, lossless=lossless)
            verdicts[witness.name, channel] = verdict
            outcome.delivered += len(witness.events(channel))
            outcome.told += len(verdict.losses)
            outcome.wrong += [f"{witness.name}, {channel}: {why}" for why in verdict.wrong[:5]]
            if lossless and verdict.losses:
                outcome.wrong.append(f"{witness.name}, {channel}: refill was possible: {verdict.losses[:3]}")
    return verdicts


async def _presence(stage: Stage, visitors: list[Visitor]) -> list[str]:
    """In the end everybody's list is who is there: the store's, and what each visitor computes by itself."""
    expected = {visitor.user for visitor in visitors if visitor.here}
    deadline = time.monotonic() + QUIET_S * SCALE
    hub = stage.hubs[1]
    headers = {"Authorization": f"Bearer {hub.api_key}"}
    async with httpx.AsyncClient(base_url=hub.url, headers=headers, trust_env=False) as http:
        while True:
            answer = (await http.get(f"/v1/channels/{ROOM}/presence")).json()
            stored = {member["user"] for member in answer.get("members", ())}
            lists = {visitor.user: visitor.listed for visitor in visitors if visitor.here}
            wrong = {user: listed for user, listed in lists.items() if listed != expected}
            if stored == expected and not wrong:
                return []
            if time.monotonic() > deadline:
                stories = {v.user: v.story[-12:] for v in visitors if v.user in wrong}
                return [f"present are {expected}, stored {stored}, computed {wrong}: {stories}"]
            await asyncio.sleep(0.2)

"""``hub export`` and ``hub replay``: events of a channel as lines of JSON, and back into a channel.

A line holds an event as the hub wrote it, its payload byte for byte. A replay names the file as a `source` and each
line as a position in it: whoever repeats it, or goes on where it was cut, stores each line once.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from ..protocol.errors import HubError
from ..protocol.fields import text_moment
from ..protocol.position import Position
from ..runtime.backoff import REAL_TIME, Backoff
from . import remote
from .failure import Failure

_DEADLINE_S = 30.0
_PATIENCE = 8  # answers in a row that say "later", or none at all
_PAGE = 1000
_BATCH = 200
_BATCH_BYTES = 1_000_000
_CARRIED = ("payload", "key", "final", "version", "meta")

Fields = dict[str, msgspec.Raw]


class _History(msgspec.Struct):
    events: list[Fields]
    epoch: str
    offset: int
    more: bool
    gap: dict[str, Any] | None = None


def run(args: argparse.Namespace) -> int:
    """The commands."""
    headers = {"Authorization": f"Bearer {remote.service_bearer(args.bearer)}"}
    base = remote.base_url(args.url)
    if args.verb == "export":
        with httpx.Client(
            base_url=base, headers=headers, timeout=_DEADLINE_S, verify=remote.verify(base)
        ) as http:
            return _export(http, args.channel, args.since, args.until)
    return asyncio.run(_replay(base, headers, _read(args.file), args.into, as_json=args.json))


def _export(http: httpx.Client, channel: str, since: str | None, until: str | None) -> int:
    """Print the events, oldest first; status 1 where some are not stored any more."""
    query, last = _begin(since), _end(until)
    path, status = f"/v1/channels/{quote(channel, safe='')}/history", 0
    while True:
        page = _page(http, path, query)
        if page.gap is not None:
            gone = f"{page.gap['from']} to {page.gap['to']} ({page.gap['cause']})"
            print(f"hub: not stored any more: offsets {gone}", file=sys.stderr)
            status = 1
        for event in page.events:
            if last(event):
                return status
            sys.stdout.write(_line(event) + "\n")
        if not page.events or not page.more:
            return status
        query = {"since": f"{page.epoch}:{int(bytes(page.events[-1]['offset']))}"}


def _begin(since: str | None) -> dict[str, str]:
    """The query that begins at a position or a moment; at the oldest event where neither is given."""
    if since is None:
        return {"since_time": "0"}
    try:
        return {"since": str(Position.parse(since))}
    except HubError:
        return {"since_time": str(_moment(since))}


def _end(until: str | None) -> Callable[[Fields], bool]:
    """Whether an event is behind the end: after an offset, or not older than a moment."""
    if until is None:
        return lambda event: False
    try:
        offset = Position.parse(until).offset
        return lambda event: int(bytes(event["offset"])) > offset
    except HubError:
        moment = _moment(until)
        return lambda event: int(bytes(event["time"])) >= moment


def _moment(text: str) -> int:
    try:
        return text_moment(text, "it")
    except HubError:
        raise Failure(f"{text} is neither a position (k3f9:12) nor a time (2026-01-01T00:00:00Z)") from None


def _page(http: httpx.Client, path: str, query: dict[str, str]) -> _History:
    try:
        answer = http.get(path, params={**query, "limit": str(_PAGE)})
    except httpx.HTTPError as error:
        raise Failure(f"no answer from {http.base_url}: {error or type(error).__name__}") from None
    if answer.status_code != 200:
        raise Failure(f"the hub refused (HTTP {answer.status_code}): {_why(answer)}")
    return msgspec.json.decode(answer.content, type=_History)


def _line(event: Fields) -> str:
    return "{" + ",".join(f'"{name}":{bytes(value).decode()}' for name, value in event.items()) + "}"


def _read(name: str) -> Iterator[bytes]:
    if name == "-":
        yield from (line.encode() for line in sys.stdin)
        return
    try:
        with Path(name).open("rb") as file:
            yield from file
    except OSError as error:
        raise Failure(f"{name} can't be read: {error.strerror}") from None


async def _replay(
    base: str, headers: dict[str, str], file: Iterable[bytes], channel: str, *, as_json: bool
) -> int:
    """Publish each line, in order, once; the lines so far are said at the end, whatever it is."""
    lines = _lines(file, channel)
    stored = known = 0
    async with httpx.AsyncClient(
        base_url=base, headers=headers, timeout=_DEADLINE_S, verify=remote.verify(base)
    ) as http:
        while batch := _batch(lines):
            for number, result in await _publish(http, batch):
                if "code" in result:
                    why = f"line {number}: {result['code']}: {result['reason']}"
                    raise Failure(
                        why, f"{stored} stored, {known} were there already; nothing after that line"
                    )
                repeated = result.get("duplicate") or result.get("stale")
                known, stored = known + bool(repeated), stored + (not repeated)
    said = f"{stored} stored, {known} were there already"
    print(json.dumps({"stored": stored, "duplicate": known}) if as_json else said)
    return 0


def _lines(file: Iterable[bytes], channel: str) -> Iterator[tuple[int, bytes]]:
    """For each line its number, from 1, and the publication that it becomes."""
    name = ""
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        name = name or f"replay:{sha256(line.strip()).hexdigest()[:16]}"
        try:
            event = msgspec.json.decode(line, type=Fields)
            kept = {field: event[field] for field in _CARRIED if field in event}
            source = {"name": name, "position": number}
            entry = {"channel": channel, "event": event["type"], **kept, "source": source}
            yield number, msgspec.json.encode(entry)
        except (msgspec.DecodeError, KeyError):
            raise Failure(f"line {number} is no event: an object with type and payload") from None


def _batch(lines: Iterator[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    batch, size = [], 0
    for number, entry in islice(lines, _BATCH):
        batch.append((number, entry))
        size += len(entry)
        if size > _BATCH_BYTES:
            break
    return batch


async def _publish(
    http: httpx.AsyncClient, batch: list[tuple[int, bytes]]
) -> list[tuple[int, dict[str, Any]]]:
    """What became of each; what has to wait is tried again from there on."""
    done: list[tuple[int, dict[str, Any]]] = []
    backoff, tries = Backoff(REAL_TIME, 0.2, 5.0), 0
    while len(done) < len(batch):
        results, why = await _try(http, [entry for _, entry in batch[len(done) :]])
        for result in results:
            if result.get("retry"):
                why = f"{result['code']}: {result['reason']}"
                break
            done.append((batch[len(done)][0], result))
            tries = 0
            if "code" in result:
                return done
        if len(done) < len(batch):
            tries += 1
            if tries > _PATIENCE:
                raise Failure(f"line {batch[len(done)][0]}: given up: {why}", "repeat the command to go on")
            await backoff.pause()
    return done


async def _try(http: httpx.AsyncClient, entries: list[bytes]) -> tuple[list[dict[str, Any]], str]:
    body = b'{"events":[' + b",".join(entries) + b"]}"
    try:
        answer = await http.post("/v1/batch", content=body)
    except httpx.HTTPError as error:
        return [], f"no answer from {http.base_url}: {error or type(error).__name__}"
    if answer.status_code in (429, 503):
        return [], _why(answer)
    if answer.status_code != 200:
        raise Failure(f"the hub refused (HTTP {answer.status_code}): {_why(answer)}")
    results: list[dict[str, Any]] = answer.json()["results"]
    return results, ""


def _why(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["reason"])
    except (ValueError, KeyError, TypeError):
        return "it does not say why, as a hub would"

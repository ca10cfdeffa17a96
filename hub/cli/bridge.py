"""``hub bridge``: what other systems have as messages, handed on to a hub."""

import argparse
import asyncio
import json
import logging
import os
import secrets
import socket
import tomllib
from pathlib import Path
from typing import Any

import uvicorn
from pydantic import ValidationError

from ..bridge.kinds import SCHEMAS
from ..bridge.mapping import Mapper, Poison
from ..bridge.process import Bridges, NotInstalled, health_app, maker
from ..bridge.records import Record
from ..bridge.settings import BridgeSettings, bridges
from ..bridge.source import SourceError
from ..bridge.templates import BadTemplate
from ..runtime.gc_tuning import leave_the_start_alone
from ..tracing import start as tracing
from ..tracing.base import Follower
from . import configuration, logs, remote
from .failure import Failure
from .replay import replay

log = logging.getLogger("hub.bridge")

PROBE_S = 20.0


def run(args: argparse.Namespace) -> int:
    """The command."""
    if args.schema:
        print(SCHEMAS[args.schema].read_text())
        return 0
    file = Path(args.config or configuration.file_name())
    settings = load(file, args.only)
    if args.action == "replay":
        print("\n".join(replay(file, settings)))
        return 0
    if args.sample:
        return show_sample(settings, Path(args.sample))
    url, bearer = remote.base_url(args.url), remote.bridge_bearer(args.bearer)
    try:
        made = Bridges(settings, url, bearer, tracer=tracer(), tls=remote.tls(url))
    except (NotInstalled, BadTemplate, tracing.NotInstalled) as error:
        raise Failure(str(error)) from None
    logs.set_up()
    leave_the_start_alone()
    with socket.create_server((args.host, args.port)) as listener:
        host, port = listener.getsockname()[:2]
        names = ", ".join(each.name for each in settings)
        log.info("bridges %s to %s; health on http://%s:%d/readyz", names, url, host, port)
        config = uvicorn.Config(health_app(made), log_config=None, access_log=False, lifespan="on")
        uvicorn.Server(config).run([listener])
    return 0


def tracer() -> Follower | None:
    """Spans of this process, where HUB_OTEL asks for them.

    Raises:
        tracing.NotInstalled: the library is missing.
    """
    given = configuration.load()
    if not given.otel:
        return None
    return tracing.make(f"b_{secrets.token_hex(4)}", given.otel_ratio, "notification-hub-bridge")


def load(path: Path, only: str | None = None) -> list[BridgeSettings]:
    """The ``[[bridges]]`` of a file.

    Raises:
        Failure: a line for each setting that is wrong.
    """
    try:
        document = tomllib.loads(path.read_text())
        know_plugins(document)
        tables: Any = document.get("bridges", [])
        found = bridges(tables if isinstance(tables, list) else [tables])
    except tomllib.TOMLDecodeError as error:
        raise Failure(f"{path}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{path} can't be read: {type(error).__name__}") from None
    except ValidationError as error:
        raise Failure(*(in_words(each) for each in error.errors(include_input=False))) from None
    except ValueError as error:
        raise Failure(*str(error).splitlines()) from None
    found = [each for each in found if only in (None, each.name)]
    if not found:
        raise Failure(f"{path} has no [[bridges]]" + (f" of the name {only}" if only else ""))
    return found


def know_plugins(document: dict[str, Any]) -> None:
    """Import the plugins that a file of settings names, or ``HUB_PLUGINS``: they may bring kinds.

    Raises:
        ValueError: a line for each that can't be used.
    """
    given = os.environ.get("HUB_PLUGINS")
    names = json.loads(given) if given else document.get("plugins", [])
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise ValueError("HUB_PLUGINS is a list of names")
    if names:
        from ..plugins.loading import load as load_plugins

        load_plugins(names)


def in_words(error: Any) -> str:
    """One of pydantic's errors: where, and what."""
    where = ".".join(map(str, error["loc"])) or "a bridge"
    return f"bridges: {where}: {error['msg'].removeprefix('Value error, ')}"


def show_sample(settings: list[BridgeSettings], path: Path) -> int:
    """What each bridge would make of a message; nothing is sent."""
    body = sample(path)
    good = True
    for each in settings:
        try:
            lines, well = mapped(Mapper(each), body)
        except BadTemplate as error:
            raise Failure(f"bridge {each.name}: {error}") from None
        good = good and well
        for line in lines:
            print(f"{each.name}: {line}")
    return 0 if good else 1


def sample(path: Path) -> bytes:
    """A message to try.

    Raises:
        Failure: the file can't be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise Failure(f"{path} can't be read: {type(error).__name__}") from None


def mapped(mapper: Mapper, body: bytes) -> tuple[list[str], bool]:
    """What becomes of a message, a line for each event, and whether it can be handed on."""
    try:
        found = mapper.map(Record(body, (0, 1)), "sample/0")
    except Poison as poison:
        return [f"a dead letter, {poison.code}: {poison.reason}"], False
    if not found:
        return ["left out by the filter"], True
    events = ({"channel": event["channel"], **event, "payload": "…"} for event in found)
    return [json.dumps(event, ensure_ascii=False) for event in events], True


async def probed(settings: BridgeSettings) -> tuple[str, bool]:
    """Whether the system that a bridge reads can be read, and what was found there or what is wrong."""
    try:
        async with asyncio.timeout(PROBE_S):
            return await maker(settings)().probe(), True
    except (SourceError, NotInstalled) as error:
        return str(error), False
    except TimeoutError:
        return f"no answer in {PROBE_S:.0f} s", False

"""``hub bridge``: what other systems have as messages, handed on to a hub."""

import argparse
import json
import logging
import socket
import tomllib
from pathlib import Path
from typing import Any

import uvicorn
from pydantic import ValidationError

from ..bridge.kinds import SCHEMAS
from ..bridge.mapping import Mapper, Poison
from ..bridge.process import Bridges, NotInstalled, health_app
from ..bridge.records import Record
from ..bridge.settings import BridgeSettings, bridges
from ..bridge.templates import BadTemplate
from . import logs, remote
from .failure import Failure

log = logging.getLogger("hub.bridge")


def run(args: argparse.Namespace) -> int:
    """The command."""
    if args.schema:
        print(SCHEMAS[args.schema].read_text())
        return 0
    settings = load(Path(args.config), args.only)
    if args.sample:
        return show_sample(settings, Path(args.sample))
    url, bearer = remote.base_url(args.url), remote.service_bearer(args.token)
    try:
        made = Bridges(settings, url, bearer)
    except (NotInstalled, BadTemplate) as error:
        raise Failure(str(error)) from None
    logs.set_up()
    with socket.create_server((args.host, args.port)) as listener:
        host, port = listener.getsockname()[:2]
        names = ", ".join(each.name for each in settings)
        log.info("bridges %s to %s; health on http://%s:%d/readyz", names, url, host, port)
        config = uvicorn.Config(health_app(made), log_config=None, access_log=False, lifespan="on")
        uvicorn.Server(config).run([listener])
    return 0


def load(path: Path, only: str | None = None) -> list[BridgeSettings]:
    """The ``[[bridges]]`` of a file.

    Raises:
        Failure: a line for each setting that is wrong.
    """
    try:
        tables: Any = tomllib.loads(path.read_text()).get("bridges", [])
        found = bridges(tables if isinstance(tables, list) else [tables])
    except tomllib.TOMLDecodeError as error:
        raise Failure(f"{path}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{path} can't be read: {type(error).__name__}") from None
    except ValidationError as error:
        raise Failure(*(in_words(each) for each in error.errors(include_input=False))) from None
    except ValueError as error:
        raise Failure(str(error)) from None
    found = [each for each in found if only in (None, each.name)]
    if not found:
        raise Failure(f"{path} has no [[bridges]]" + (f" of the name {only}" if only else ""))
    return found


def in_words(error: Any) -> str:
    """One of pydantic's errors: where, and what."""
    where = ".".join(map(str, error["loc"])) or "a bridge"
    return f"bridges: {where}: {error['msg'].removeprefix('Value error, ')}"


def show_sample(settings: list[BridgeSettings], path: Path) -> int:
    """What each bridge would make of a message; nothing is sent."""
    try:
        body = path.read_bytes()
    except OSError as error:
        raise Failure(f"{path} can't be read: {type(error).__name__}") from None
    status = 0
    for each in settings:
        try:
            mapped = Mapper(each).map(Record(body, (0, 1)), "sample/0")
        except BadTemplate as error:
            raise Failure(f"bridge {each.name}: {error}") from None
        except Poison as poison:
            print(f"{each.name}: a dead letter, {poison.code}: {poison.reason}")
            status = 1
            continue
        if mapped is None:
            print(f"{each.name}: left out by the filter")
            continue
        for event in mapped.events:
            shown = {**event, "payload": "…"}
            print(f"{each.name}: {json.dumps(shown, ensure_ascii=False)}")
    return status

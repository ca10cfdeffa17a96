"""``hub serve``: a node that listens until a signal says stop."""

import argparse
import errno
import logging
import re
import secrets
import socket
from typing import Any

from pydantic import SecretStr

from ..assembly import warn_of_slips
from ..server.serve import serve
from ..settings import ApiKeyRules, Settings
from . import configuration, logs, preflight, remote, tokens
from .failure import Failure

log = logging.getLogger("hub")

_DEV_GRANTS: dict[str, Any] = {"subscribe": ["*"], "publish": ["*"], "presence": ["*"]}
_DAY_S = 86_400


def run(args: argparse.Namespace) -> int:
    """The command."""
    settings = given = configuration.load(
        host=args.host, port=args.port, broker=args.broker, workers=args.workers
    )
    if args.dev:
        settings = open_to_pages(with_made_up_keys(settings)).model_copy(update={"console_mint": True})
    problems = preflight.problems(settings, starting=True)
    if args.bridges and not problems:
        from . import beside  # libraries that a hub without bridges need not have

        problems = beside.lacks(settings)
    if problems:
        raise Failure(*problems)
    logs.set_up(settings.log_level, settings.log_format)
    warn_of_slips()  # before workers are forked: once is enough
    # Workers have a listener each, made by themselves.
    sockets = listen_all(settings) if settings.workers == 1 else None
    if sockets is not None:
        settings = settings.model_copy(update={"port": sockets[0].getsockname()[1]})
    if args.dev:
        print("\n".join(dev_lines(settings, given)), flush=True)
    log.info("listening on %s, broker %s", remote.local_url(settings), _named(settings.broker))
    if not args.bridges:
        return serve(settings, sockets)
    with beside.bridging(settings):
        return serve(settings, sockets)


def _named(broker: str) -> str:
    """A broker's URL without its user and password."""
    return re.sub(r"(?<=://)[^,]*@", "", broker)


def with_made_up_keys(settings: Settings) -> Settings:
    """Settings for trying things out: keys that are missing are made up."""
    made: dict[str, object] = {}
    if not preflight.has_key(settings):
        made["jwt_secret"] = SecretStr(secrets.token_urlsafe(32))
    if not settings.api_keys:
        key = SecretStr(secrets.token_urlsafe(24))
        made["api_keys"] = {"dev": ApiKeyRules(key=key, admin="write", **_DEV_GRANTS)}
    return settings.model_copy(update=made)


def open_to_pages(settings: Settings) -> Settings:
    """Settings for writing a page: it is served by some other server, or is a file."""
    return settings if settings.allowed_origins else settings.model_copy(update={"allowed_origins": ["*"]})


def dev_lines(settings: Settings, given: Settings) -> list[str]:
    """What the person at the terminal needs to talk to this hub: what was made up beside what was `given`, and
    only that; a token by a secret that was set is made by ``hub token``."""
    open_to_all, made = [], []
    if settings.allowed_origins != given.allowed_origins:
        open_to_all.append("Pages from anywhere may connect: HUB_ALLOWED_ORIGINS is not set.")
    if settings.api_keys != given.api_keys:
        made.append(f"  export HUB_API_KEY={settings.service_key}")
        made += ["", f"The console takes that key: {remote.local_url(settings)}/console", ""]
    if settings.jwt_secret is not None and settings.jwt_secret != given.jwt_secret:
        made.append(f"  export HUB_JWT_SECRET={settings.jwt_secret.get_secret_value()}")
        made += ["", "A token for one day and all channels; type help, or sub job:42:", ""]
        made.append(f"  {wscat_line(settings)}")
    if made:
        made = [
            "Development mode: what was not set is made up, and another start makes up something else.",
            *made,
        ]
    return ["", *open_to_all, *made, ""] if open_to_all or made else []


def wscat_line(settings: Settings) -> str:
    """A command that connects to this hub as the user ``dev``, with all rights for a day."""
    token = tokens.sign(settings, "dev", _DEV_GRANTS, _DAY_S)
    base = remote.local_url(settings).replace("http", "ws", 1)
    return f"npx wscat -c '{base}{settings.path}?token={token}'"


def listen_all(settings: Settings) -> list[socket.socket]:
    """Listening sockets on all addresses of the settings, of one port.

    Raises:
        Failure: one of them can't be had.
    """
    sockets: list[socket.socket] = []
    port = settings.port
    for host in settings.hosts:
        sockets.append(listen(host, port))
        port = sockets[0].getsockname()[1]
    return sockets


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; bound before anything else starts, so that a taken port costs nothing.

    Raises:
        Failure: the address can't be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=4096)
    except OSError as error:
        # `socket` appends the address to the system's words
        why = (error.strerror or str(error)).partition(" (while ")[0].lower()
        other = (
            "; --port or HUB_PORT takes another one, and 0 any that is free"
            if error.errno == errno.EADDRINUSE
            else ""
        )
        raise Failure(f"can't listen on {host} port {port}: {why}{other}") from None

"""For commands that talk to a running hub: where it is, and who asks."""

import os
from urllib.parse import urlsplit, urlunsplit

from ..settings import Settings
from . import configuration, tokens
from .failure import Failure

_OWN_TOKEN_S = 3600
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # where it listens, and where it is found


def base_url(given: str | None) -> str:
    """The hub's address, ``http://host:port``: by argument, HUB_URL, or the settings of this machine.

    Raises:
        Failure: it is no such address.
    """
    url = given or os.environ.get("HUB_URL")
    if not url:
        return local_url(configuration.load())
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
        raise Failure("the hub's address begins with http:// or https:// and names a host (--url, HUB_URL)")
    return urlunsplit((parts.scheme.replace("ws", "http"), parts.netloc, parts.path.rstrip("/"), "", ""))


def socket_url(given: str | None) -> str:
    """The address of the hub's WebSockets: as given where it has a path, else with the hub's own."""
    base = base_url(given)
    parts = urlsplit(base)
    path = parts.path or configuration.load().path
    return urlunsplit((parts.scheme.replace("http", "ws"), parts.netloc, path, "", ""))


def local_url(settings: Settings) -> str:
    """Where a hub with these settings is found on this machine."""
    host = _ANYWHERE.get(settings.hosts[0], settings.hosts[0])
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def service_bearer(given: str | None) -> str:
    """A token or API key for a service's request: by argument, HUB_TOKEN, HUB_API_KEY, or the hub's own keys.

    Raises:
        Failure: there is none.
    """
    found = given or os.environ.get("HUB_TOKEN") or os.environ.get("HUB_API_KEY")
    if found:
        return found
    key = configuration.load().service_key
    if key is not None:
        return key
    raise Failure("who asks? set HUB_API_KEY (or HUB_TOKEN), or HUB_API_KEYS as the hub has it")


def reader_token(given: str | None, channels: list[str]) -> str:
    """A token that may read `channels`: by argument, HUB_TOKEN, or signed by the hub's own secret.

    Raises:
        Failure: there is neither a token nor a secret.
    """
    found = given or os.environ.get("HUB_TOKEN")
    if found:
        return found
    settings = configuration.load()
    if settings.jwt_secret is None:
        raise Failure("who asks? set HUB_TOKEN, or HUB_JWT_SECRET as the hub has it")
    return tokens.sign(settings, "hub-cli", {"subscribe": channels}, _OWN_TOKEN_S)

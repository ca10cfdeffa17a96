"""TLS by the options of a URL, under redis-py's names."""

import inspect
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redis.asyncio import SSLConnection
from redis.exceptions import RedisError

_FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
_KNOWN = {name for name in inspect.signature(SSLConnection).parameters if name.startswith("ssl_")}


def checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as every supported version of redis-py takes them; the host's name is checked unless they say
    otherwise, which was not its default before version 6.

    Raises:
        ValueError: which option can't be used, and why.
    """
    for name in options:
        if name not in _KNOWN:
            raise ValueError(f"unknown option {name} in a Redis URL")
    for name in _FILES:
        if name in options:
            _readable(name, Path(options[name]))
    holding = {"ssl_check_hostname": options.get("ssl_cert_reqs") != "none", **options}
    if "ssl_certfile" in options:
        holding.setdefault("ssl_keyfile", options["ssl_certfile"])  # one file may hold both
    if "ssl_min_version" in options:
        holding["ssl_min_version"] = _version(options["ssl_min_version"])
    return holding


def context_of(options: Mapping[str, Any]) -> ssl.SSLContext:
    """What redis-py makes of `checked` options.

    Raises:
        ValueError: they can't be used, and why.
    """
    try:
        wanted = SSLConnection(**options).ssl_context
        context: ssl.SSLContext = wanted.get()
    except (RedisError, OSError, ValueError, TypeError) as error:  # ssl.SSLError is an OSError
        raise ValueError(f"the ssl_ options of a Redis URL can't be used: {error}") from None
    return context


def _version(given: str | int) -> ssl.TLSVersion:
    try:
        return ssl.TLSVersion(int(given))
    except ValueError:
        raise ValueError("ssl_min_version is a number of Python's ssl.TLSVersion: 771 for TLS 1.2") from None


def _readable(name: str, path: Path) -> None:
    if path.is_dir() and name == "ssl_ca_path":
        return
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise ValueError(f"{name}: {path}: {error.strerror}") from None

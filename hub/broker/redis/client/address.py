"""Where the Redis servers are: one setting, one or several URLs with commas between.

| URL | what |
|---|---|
| ``redis://[user:password@]host[:port][/db]`` | one server over TCP |
| ``rediss://…?ssl_ca_certs=…&ssl_certfile=…&ssl_keyfile=…&ssl_cert_reqs=none`` | the same over TLS |
| ``unix://[user:password@]/path.sock[?db=0]`` | the same over a Unix socket |
| ``redis+sentinel://[user:password@]host[:port],host…/master[/db]`` | the master that Sentinels name |
| ``redis+cluster://[user:password@]host[:port],host…`` | a Cluster, found by any of its servers |

``rediss+…`` is TLS there too. Several URLs of single servers or Sentinel sets are a ring: each channel lives
on one of them. A Cluster stands alone.

Users, passwords and options are read by redis-py, under its names: ``db``, every ``ssl_…``, ``socket_timeout``
and ``socket_connect_timeout`` (seconds). Sentinels have a user and a password of their own, ``sentinel_username``
and ``sentinel_password``.
"""

import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

from redis.asyncio.connection import parse_url
from redis.credentials import CredentialProvider

from .tls import checked, context_of

Remap = Callable[[tuple[str, int]], tuple[str, int]]
"""From where a server says that it is to where it is reached from here: redis-py's ``address_remap``."""

_BETWEEN = re.compile(r",\s*(?=[a-z][a-z+]*://)")
_URL = re.compile(r"(?P<scheme>[a-z+]+)://(?:(?P<userinfo>[^/]*)@)?(?P<rest>[^?#]*)(?:\?(?P<query>[^#]*))?\Z")
_PORTS = {"redis": 6379, "redis+sentinel": 26379, "redis+cluster": 6379}


class Kind(StrEnum):
    """What stands behind one URL."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Address:
    """One server to connect to, and as whom. `path` is a Unix socket's; `tls` None means plain bytes.

    `credentials` are asked at each connect, and go before `user` and `password`. `connect_timeout` is in seconds.
    """

    host: str = "localhost"
    port: int = 6379
    path: str | None = None
    db: int = 0
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None
    credentials: CredentialProvider | None = field(default=None, repr=False)
    connect_timeout: float | None = None

    @property
    def name(self) -> str:
        """For logs, metrics and the ring: no user, no password."""
        place = self.path or f"{self.host}:{self.port}"
        return f"{place}/{self.db}" if self.db else place

    def at(self, host: str, port: int) -> "Address":
        """Another server with the same credentials."""
        return replace(self, host=host, port=port, path=None)


@dataclass(frozen=True, slots=True)
class Site:
    """What one URL names. For Sentinel, `addresses` are the Sentinels', with the credentials of the servers;
    `master` is the name they know it by, `sentinel` what redis-py needs to reach them: their own user, TLS.

    `timeout`: for so many seconds a server may owe an answer, where the URL says so.
    """

    kind: Kind
    addresses: tuple[Address, ...]
    master: str = ""
    sentinel: Mapping[str, Any] = field(default_factory=dict, repr=False)
    timeout: float | None = None

    @property
    def name(self) -> str:
        """For logs, metrics and the ring: no user, no password."""
        if self.kind is Kind.SENTINEL:
            db = self.addresses[0].db
            return f"{self.master}/{db}" if db else self.master
        return self.addresses[0].name


def parse(urls: str, credentials: CredentialProvider | None = None) -> list[Site]:
    """The sites of a setting.

    Raises:
        ValueError: what is wrong, without the password.
    """
    sites = [_site(url.strip(), credentials) for url in _BETWEEN.split(urls)]
    if len(sites) > 1 and any(site.kind is Kind.CLUSTER for site in sites):
        raise ValueError("a Redis Cluster stands alone: it spreads the channels by itself")
    names = [site.name for site in sites]
    if len(set(names)) < len(names):
        raise ValueError(f"the same Redis is named twice: {', '.join(sorted(names))}")
    return sites


def _site(url: str, credentials: CredentialProvider | None) -> Site:
    match = _URL.match(url)
    if match is None:
        raise ValueError("a Redis URL is written redis://[user:password@]host[:port][/db]")
    scheme, rest = match["scheme"], match["rest"]
    plain = scheme.replace("rediss", "redis", 1)
    if scheme != "unix" and plain not in _PORTS:
        raise ValueError(f"unknown scheme {scheme}://: redis, rediss, unix, redis+sentinel or redis+cluster")
    options = _options(match["userinfo"], match["query"])
    tls = {name: options.pop(name) for name in list(options) if name.startswith("ssl_")}
    if tls and plain == scheme:
        raise ValueError(f"the option {next(iter(tls))} needs TLS: rediss://")
    tls = checked(tls) if plain != scheme else {}
    base = Address(
        user=options.pop("username", None) or None,
        password=options.pop("password", None) or None,
        db=_db(options.pop("db", 0)),
        tls=context_of(tls) if tls else None,
        credentials=credentials,
        connect_timeout=_seconds(options, "socket_connect_timeout"),
    )
    site = Site(Kind.SINGLE, (base,), timeout=_seconds(options, "socket_timeout"))
    if plain == "redis+sentinel":
        theirs = {name: options.pop(f"sentinel_{name}", None) for name in ("username", "password")}
        site = replace(site, sentinel={**theirs, **({"ssl": True, **tls} if tls else {})})
    if options:
        raise ValueError(f"unknown option {next(iter(options))} in a Redis URL")
    if scheme == "unix":
        return replace(site, addresses=(replace(base, path=unquote(rest)),))
    return _placed(site, plain, rest)


def _placed(site: Site, scheme: str, rest: str) -> Site:
    """The site with the hosts, the master and the database of a URL's rest."""
    hosts, _, path = rest.partition("/")
    (base,) = site.addresses
    kind, master = Kind.SINGLE, ""
    if scheme == "redis+sentinel":
        kind = Kind.SENTINEL
        master, _, path = path.partition("/")
        if not master:
            raise ValueError("redis+sentinel:// needs the name of the master: redis+sentinel://host/mymaster")
    elif scheme == "redis+cluster":
        kind = Kind.CLUSTER
    elif "," in hosts:
        raise ValueError("several servers are several URLs: redis://a,redis://b")
    if path:
        base = replace(base, db=_db(path))
    if base.db and kind is Kind.CLUSTER:
        raise ValueError("a Redis Cluster has one database only: 0")
    addresses = tuple(_address(base, host, _PORTS[scheme]) for host in hosts.split(","))
    return replace(site, kind=kind, addresses=addresses, master=master)


def _options(userinfo: str | None, query: str | None) -> dict[str, Any]:
    """What redis-py reads out of a URL's user, password and query: strings, and numbers where it knows them."""
    at = f"{userinfo}@" if userinfo else ""
    try:
        options: dict[str, Any] = dict(parse_url(f"redis://{at}localhost?{query or ''}"))
    except ValueError as error:
        # Its words name an option where that is wrong; else they may quote what stands in the password's place.
        named = str(error).startswith("Invalid value for")
        raise ValueError(str(error) if named else "a user or a password has to be percent-encoded") from None
    del options["host"]
    return options


def _seconds(options: dict[str, Any], name: str) -> float | None:
    given = options.pop(name, None)
    if given is None:
        return None
    seconds = float(given)
    if not 0 < seconds <= 60:
        raise ValueError(f"{name} is more than 0 and at most 60 seconds")
    return seconds


def _address(base: Address, text: str, default_port: int) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(default_port)
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("a port is a number from 1 to 65535")  # what stands there may be a password
    return base.at(host.strip("[]") or "localhost", int(port))


def _db(given: str | int) -> int:
    if not str(given).isdigit():
        raise ValueError("a Redis database is a number: redis://host/0")
    return int(given)

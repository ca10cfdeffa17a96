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
"""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from urllib.parse import parse_qsl, unquote

_BETWEEN = re.compile(r",\s*(?=[a-z][a-z+]*://)")
_URL = re.compile(r"(?P<scheme>[a-z+]+)://(?:(?P<userinfo>[^/]*)@)?(?P<rest>[^?#]*)(?:\?(?P<query>[^#]*))?\Z")
_PORTS = {"redis": 6379, "rediss": 6379, "redis+sentinel": 26379, "rediss+sentinel": 26379}
_TLS_OPTIONS = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"}


class Kind(StrEnum):
    """What stands behind one URL."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Address:
    """One server to connect to, and as whom. `path` is a Unix socket's; `tls` None means plain bytes."""

    host: str = "localhost"
    port: int = 6379
    path: str | None = None
    db: int = 0
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None

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
    """What one URL names. For Sentinel, `addresses` are the Sentinels', with the credentials of the servers,
    and `master` is the name they know it by."""

    kind: Kind
    addresses: tuple[Address, ...]
    master: str = ""

    @property
    def name(self) -> str:
        """As `Address.name`."""
        if self.kind is Kind.SENTINEL:
            db = self.addresses[0].db
            return f"{self.master}/{db}" if db else self.master
        return self.addresses[0].name


def parse(urls: str) -> list[Site]:
    """The sites of a setting.

    Raises:
        ValueError: what is wrong, without the password.
    """
    sites = [_site(url.strip()) for url in _BETWEEN.split(urls)]
    if len(sites) > 1 and any(site.kind is Kind.CLUSTER for site in sites):
        raise ValueError("a Redis Cluster stands alone: it spreads the channels by itself")
    names = [site.name for site in sites]
    if len(set(names)) < len(names):
        raise ValueError(f"the same Redis is named twice: {', '.join(sorted(names))}")
    return sites


def _site(url: str) -> Site:
    match = _URL.match(url)
    if match is None:
        raise ValueError("a Redis URL is written redis://[user:password@]host[:port][/db]")
    scheme, rest = match["scheme"], match["rest"]
    options = dict(parse_qsl(match["query"] or "", keep_blank_values=True))
    user, password = _userinfo(match["userinfo"])
    base = Address(user=user, password=password)
    if scheme == "unix":
        return Site(Kind.SINGLE, (replace(base, path=unquote(rest), db=_db(options.pop("db", "0"))),))
    plain = scheme.replace("rediss", "redis", 1)
    if plain not in ("redis", "redis+sentinel", "redis+cluster"):
        raise ValueError(f"unknown scheme {scheme}://: redis, rediss, unix, redis+sentinel or redis+cluster")
    if scheme.startswith("rediss"):
        base = replace(base, tls=_tls(options))
    if options:
        raise ValueError(f"unknown option {next(iter(options))} in a Redis URL")
    hosts, _, path = rest.partition("/")
    if plain == "redis+sentinel":
        master, _, db = path.partition("/")
        if not master:
            raise ValueError("redis+sentinel:// needs the name of the master: redis+sentinel://host/mymaster")
        return Site(Kind.SENTINEL, _addresses(replace(base, db=_db(db)), hosts, _PORTS[scheme]), master)
    if plain == "redis+cluster":
        return Site(Kind.CLUSTER, _addresses(base, hosts, 6379))
    if "," in hosts:
        raise ValueError("several servers are several URLs: redis://a,redis://b")
    return Site(Kind.SINGLE, _addresses(replace(base, db=_db(path)), hosts, 6379))


def _addresses(base: Address, hosts: str, default_port: int) -> tuple[Address, ...]:
    return tuple(_address(base, host, default_port) for host in hosts.split(","))


def _address(base: Address, text: str, default_port: int) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(default_port)
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("a port is a number from 1 to 65535")  # what stands there may be a password
    return base.at(host.strip("[]") or "localhost", int(port))


def _userinfo(text: str | None) -> tuple[str | None, str | None]:
    if not text:
        return None, None
    user, _, password = text.partition(":")
    return unquote(user) or None, unquote(password) or None


def _db(text: str) -> int:
    if text and not text.isdigit():
        raise ValueError("a Redis database is a number: redis://host/0")
    return int(text or 0)


def _tls(options: dict[str, str]) -> ssl.SSLContext:
    given: Mapping[str, str] = {name: options.pop(name) for name in list(options) if name in _TLS_OPTIONS}
    context = ssl.create_default_context(cafile=given.get("ssl_ca_certs"))
    if given.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif given.get("ssl_check_hostname", "true").lower() in ("false", "0", "no"):
        context.check_hostname = False
    if "ssl_certfile" in given:
        context.load_cert_chain(given["ssl_certfile"], given.get("ssl_keyfile"))
    return context

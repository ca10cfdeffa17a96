"""Which web pages may connect: RFC 6455 section 10.2."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

# RFC 6454: scheme, host, port, and nothing else. The host is a name, or an IPv6 address in brackets.
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^\s/?#@:\[\]]+)(?::([0-9]{1,5}))?\Z")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s/?#@:\[\]]+)(?::([0-9]{1,5}))?\Z")
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


@dataclass(frozen=True, slots=True)
class _Origin:
    scheme: str
    host: str
    port: int | None


class Origins:
    """The allowed origins: ``https://app.example.com``, ``http://localhost:3000``, ``https://*.example.com``
    (every depth, not the domain itself), or ``*``. None at all: pages of the hub's own host.

    `allow_missing` lets in who sends no `Origin`: services, wscat, anything but a browser.
    """

    def __init__(self, allowed: Sequence[str] = (), allow_missing: bool = True) -> None:
        self._allow_missing = allow_missing
        self._any = False
        self._own_host = not allowed
        self._exact: set[_Origin] = set()
        self._below: list[_Origin] = []
        self._problems: list[str] = []
        for entry in allowed:
            self._add(entry)

    def check(self, origin: str | None, host: str | None, secure: bool) -> bool:
        """Whether a request with these headers `Origin` and `Host` may pass.

        `secure`: it came by TLS as far as the hub can tell. Where TLS ends at a proxy, it can't, so an
        ``https`` page passes either way, and an ``http`` page does not pass a hub that knows of TLS.
        """
        if origin is None:
            return self._allow_missing
        if self._any:
            return True
        page = _parse(origin)
        if page is None:  # ``null`` among others: a sandboxed frame, a file
            return False
        if self._own_host:
            return _is_own(page, host, secure)
        return page in self._exact or any(_is_below(page, each) for each in self._below)

    def problems(self) -> list[str]:
        """What is wrong with the settings, in words; such entries allow nothing."""
        return list(self._problems)

    def _add(self, entry: str) -> None:
        if entry == "*":
            self._any = True
            return
        scheme, separator, rest = entry.partition("://")
        wildcard = rest.startswith("*.")
        parsed = _parse(f"{scheme}{separator}{rest[2:] if wildcard else rest}")
        if parsed is None or "*" in parsed.host:
            self._problems.append(
                f"{entry!r} is no origin: it is written https://host or https://host:port, "
                "without a path, with * for all or *. before the host for its subdomains"
            )
        elif wildcard:
            self._below.append(parsed)
        else:
            self._exact.add(parsed)


def _parse(text: str) -> _Origin | None:
    found = _ORIGIN.match(text.lower().removesuffix("/"))
    if found is None:
        return None
    scheme, host, port = found.groups()
    return _Origin(scheme, host, int(port) if port else _DEFAULT_PORTS.get(scheme))


def _is_own(page: _Origin, host: str | None, secure: bool) -> bool:
    found = _HOST.match((host or "").lower())
    if found is None or page.scheme not in ("http", "https") or (secure and page.scheme == "http"):
        return False
    name, port = found.groups()
    return name == page.host and page.port == (int(port) if port else _DEFAULT_PORTS[page.scheme])


def _is_below(page: _Origin, domain: _Origin) -> bool:
    return page.scheme == domain.scheme and page.port == domain.port and page.host.endswith(f".{domain.host}")

"""Which addresses may be asked: a name is resolved once, what it stands for is looked at, and that is connected to.

A name that a stranger may choose, or whose DNS he runs, could else reach what only this host can: databases, the
metadata of a cloud (OWASP, "Server-Side Request Forgery Prevention"). Between the look and the connect nothing is
resolved again.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpx

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[list[str]]]

_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")


class AddressRefused(Exception):
    """It must not be asked, and why."""


class Guard:
    """`allowed` are networks that may be asked though they are private: ``10.0.0.0/8``."""

    def __init__(self, allowed: Sequence[str] = (), resolve: Resolve | None = None) -> None:
        self._allowed: list[Network] = [ip_network(each, strict=False) for each in allowed]
        self._resolve = resolve or _resolve

    async def pinned(self, url: httpx.URL) -> httpx.URL:
        """The URL with an address in place of its name.

        Raises:
            AddressRefused: no address of it may be asked, or it has none.
        """
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            found = await self._resolve(url.host, port)
        except OSError as error:
            raise AddressRefused(f"{url.host} has no address: {error}"[:200]) from None
        for text in found:
            if self.may_ask(ip_address(text.partition("%")[0])):
                return url.copy_with(host=text)
        raise AddressRefused(
            f"no address of {url.host} may be asked (HUB_WEBHOOK_ALLOW names networks that may)"
        )

    def may_ask(self, address: Address) -> bool:
        """Whether it is allowed by name, or public."""
        plain = _plain(address)
        if any(plain in network for network in self._allowed if network.version == plain.version):
            return True
        return plain.is_global and not plain.is_multicast and not plain.is_reserved


def _plain(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one: translators and tunnels go there."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(address.packed[12:])
    if address in _SIX_TO_FOUR:
        return IPv4Address(address.packed[2:6])
    return address


class GuardedTransport(httpx.AsyncBaseTransport):
    """Asks only what `guard` allows: by the checked address, under the name's own certificate."""

    def __init__(self, guard: Guard, inner: httpx.AsyncBaseTransport) -> None:
        self._guard = guard
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As `httpx.AsyncBaseTransport`; `httpx.ConnectError` where it is not allowed."""
        name = request.url.host
        try:
            request.url = await self._guard.pinned(request.url)
        except AddressRefused as error:
            raise httpx.ConnectError(str(error), request=request) from None
        if request.url.host != name:
            request.extensions = {**request.extensions, "sni_hostname": name}
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Let go."""
        await self._inner.aclose()


async def _resolve(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]

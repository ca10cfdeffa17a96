"""Whose address counts when proxies stand before the hub."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

# Longer chains are made up.
_MAX_HOPS = 32


class TrustedProxies:
    """The networks whose word on `X-Forwarded-For` is believed: ``10.0.0.0/8``, ``::1``. None: nobody's."""

    def __init__(self, cidrs: Sequence[str] = ()) -> None:
        self._networks: list[IPv4Network | IPv6Network] = []
        self._problems: list[str] = []
        for cidr in cidrs:
            try:
                self._networks.append(ip_network(cidr))
            except ValueError as error:
                self._problems.append(f"trusted proxies: {error}")

    def client(self, peer: str, forwarded_for: str | None) -> str:
        """The address that limits count: that of `peer`, or where it is a trusted proxy, the right-most
        address of `forwarded_for` that is not one. What stands left of it anybody could have written.

        Several headers are given joined by commas, in their order (RFC 9110 section 5.3). A hop that is no
        address ends the walk: the proxy that reported it counts.
        """
        address = _address(peer)
        if address is None:
            return peer
        if forwarded_for and self._trusts(address):
            for hop in reversed(forwarded_for.rsplit(",", _MAX_HOPS)[-_MAX_HOPS:]):
                before = _address(hop)
                if before is None:
                    break
                address = before
                if not self._trusts(address):
                    break
        return str(address)

    def trusts(self, peer: str) -> bool:
        """Whether `peer` is a trusted proxy, whose other forwarded headers may be believed too."""
        address = _address(peer)
        return address is not None and self._trusts(address)

    def problems(self) -> list[str]:
        """What is wrong with the settings, in words; such entries trust nobody."""
        return list(self._problems)

    def _trusts(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._networks)


def network_of(address: str) -> str:
    """What counts as one address in limits: of IPv6 the /64, which is what one subscriber gets (RFC 6177)."""
    if ":" not in address:
        return address
    found = _address(address)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((int(found) >> 64 << 64, 64)))
    return address if found is None else str(found)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address, also with a port or in brackets; an IPv4 address inside IPv6 is itself."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address

"""Finding the server: fixed, or the master that Sentinels name."""

import hiredis

from .address import Address, Kind, Site
from .command_connection import Resolve
from .connection import LinkError, open_link

_CLIENT = "hub-sentinel"


def resolver(site: Site, patience: float) -> Resolve:
    """How to find the server of a site that is no Cluster."""
    if site.kind is Kind.SENTINEL:
        return lambda: _master(site, patience)
    address = site.addresses[0]

    async def fixed() -> Address:
        return address

    return fixed


async def _master(site: Site, patience: float) -> Address:
    """Ask the Sentinels in turn. Each new link checks the role of what it reached: a Sentinel may lag.

    Raises:
        LinkError: no Sentinel names a master.
    """
    whys = []
    for sentinel in site.addresses:
        try:
            return await _ask(sentinel, site, patience)
        except LinkError as error:
            whys.append(str(error))
    raise LinkError(f"no Sentinel names the master of {site.master}: {'; '.join(whys)}")


async def _ask(sentinel: Address, site: Site, patience: float) -> Address:
    # Sentinels seldom share the servers' users and passwords; one that wants them says so.
    anonymous = Address(sentinel.host, sentinel.port, tls=sentinel.tls)
    link = await open_link(anonymous, client=_CLIENT, patience=patience)
    try:
        (reply,) = await link.call([("SENTINEL", "GET-MASTER-ADDR-BY-NAME", site.master)])
    finally:
        link.abort("asked")
    if isinstance(reply, hiredis.ReplyError) or not reply:
        raise LinkError(f"{sentinel.name} knows no master {site.master}: {reply}")
    return sentinel.at(reply[0].decode(), int(reply[1]))

"""From addresses to a topology: what is made of each server that the setting names."""

from collections.abc import Sequence

from . import rights
from .client.address import Kind, Remap, Site
from .client.cluster import Cluster, by_slot
from .client.command_connection import Commander, Greet
from .client.sentinel import resolver
from .client.shard import Shard
from .client.subscriber_connection import Hearer, ShardListener
from .client.topology import Ring, Topology
from .client.tuning import Stats, Tuning
from .keys import KeyNames
from .scripts import SOURCES


def make_topology(
    sites: Sequence[Site],
    keys: KeyNames,
    node_id: str,
    greet: Greet,
    hearer: Hearer | None,
    tuning: Tuning,
    stats: Stats,
    remap: Remap | None = None,
) -> Topology:
    """The topology of `sites`. Without a `hearer` nothing is listened to: only commands are sent."""

    def build(site: Site, canary_tag: str, sharded: bool) -> Shard:
        resolve = resolver(site, tuning.patience, remap)
        client = f"hub-{node_id}"
        wanted = rights.attempts(keys, canary_tag, sharded=sharded, listens=hearer is not None)
        commander = Commander(site.name, resolve, greet, SOURCES, wanted, client, tuning, stats)

        def listen(hearer: Hearer) -> ShardListener:
            groups = by_slot if sharded else None
            return ShardListener(
                site.name, resolve, hearer, client, tuning, stats, sharded=sharded, groups=groups
            )

        return Shard(
            commander,
            listen,
            hearer,
            keys.canary(canary_tag, node_id),
            tuning,
            stats,
            resolve.close,
            sharded=sharded,
            follows=site.kind is Kind.SENTINEL,
        )

    if sites[0].kind is Kind.CLUSTER:
        return Cluster(sites[0], build, tuning, stats, remap)
    return Ring(sites, build)

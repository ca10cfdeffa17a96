"""From addresses to a topology: what is made of each server that the setting names."""

from collections.abc import Sequence

from .redis_address import Kind, Site
from .redis_cluster import Cluster, by_slot
from .redis_commander import Commander, Greet
from .redis_keys import Keys
from .redis_listener import Hearer, ShardListener
from .redis_sentinel import resolver
from .redis_shard import Shard
from .redis_topology import Ring, Topology
from .redis_tuning import Stats, Tuning


def make_topology(
    sites: Sequence[Site],
    keys: Keys,
    node_id: str,
    greet: Greet,
    hearer: Hearer | None,
    tuning: Tuning,
    stats: Stats,
) -> Topology:
    """The topology of `sites`. Without a `hearer` nothing is listened to: only commands are sent."""

    def build(site: Site, canary_tag: str, sharded: bool) -> Shard:
        resolve = resolver(site, tuning.patience)
        client = f"hub-{node_id}"
        commander = Commander(site.name, resolve, greet, client, tuning, stats)

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
            sharded=sharded,
            follows=site.kind is Kind.SENTINEL,
        )

    if sites[0].kind is Kind.CLUSTER:
        return Cluster(sites[0], build, tuning, stats)
    return Ring(sites, build)

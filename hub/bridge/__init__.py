"""Bridges: what other systems have as messages, handed on to a hub: none lost, none twice, in order by channel.

A `Source` reads (`kinds/` has one for each system), a `Mapper` turns messages into publications, and a
`PartitionWorker` hands them on; what can't be handed on becomes a dead letter. It talks to the hub over HTTP.
May import: `sdk`, `broker.redis.client` (Redis Streams), `runtime`, `protocol`.
"""

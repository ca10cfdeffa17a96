"""The broker of any number of nodes: scripts, keys and formats in Redis.

Each publication is one atomic step of a script in `lua/`; `client` carries the commands.
May import: `broker.redis.client`, `broker.base`, `namespaces`, `runtime`, `protocol`.
"""

"""What a Redis user must be allowed to do, found out at each new connection and not at the first publication:
a script whose last command is refused has done the ones before it.

The commands are queued in a transaction and thrown away: Redis looks at a user's rights when it queues, so
nothing is carried out, and what is refused is refused in Redis' own words.
"""

from collections.abc import Sequence

from .client.connection import Command
from .keys import KeyNames

ARGUMENTS: dict[str, tuple[str, ...]] = {
    "DEL": (),
    "EXISTS": (),
    "GET": (),
    "GETDEL": (),
    "HDEL": ("f",),
    "HEXISTS": ("f",),
    "HGET": ("f",),
    "HGETALL": (),
    "HINCRBY": ("f", "1"),
    "HLEN": (),
    "HMGET": ("f",),
    "HSCAN": ("0",),
    "HSET": ("f", "v"),
    "HVALS": (),
    "LLEN": (),
    "LRANGE": ("0", "-1"),
    "LTRIM": ("0", "-1"),
    "PERSIST": (),
    "PEXPIRE": ("1",),
    "RPUSH": ("v",),
    "SET": ("v",),
    "TYPE": (),
    "XADD": ("*", "e", "v"),
    "XLEN": (),
    "XRANGE": ("-", "+"),
    "XREVRANGE": ("+", "-"),
    "ZADD": ("1", "m"),
    "ZRANGE": ("0", "-1"),
    "ZRANGEBYSCORE": ("0", "1"),
    "ZREM": ("m",),
    "ZREMRANGEBYSCORE": ("0", "1"),
    "ZREVRANGE": ("0", "-1"),
    "ZSCORE": ("m",),
}
"""What the scripts do to keys, with arguments after a key that make each of them whole."""


def attempts(keys: KeyNames, tag: str, *, sharded: bool, listens: bool) -> Sequence[Command]:
    """A command for each right that is needed on the server that `tag` belongs to."""
    name = keys.rights(tag)
    commands: list[Command] = [(verb, name, *rest) for verb, rest in ARGUMENTS.items()]
    commands.append(("SPUBLISH" if sharded else "PUBLISH", name, ""))
    if listens:
        commands.append(("SSUBSCRIBE" if sharded else "SUBSCRIBE", name))
    return [*commands, ("TIME",), ("EVALSHA", "0" * 40, 1, name)]

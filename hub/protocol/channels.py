"""Channel names: ``namespace:rest``."""

import re
from functools import lru_cache

from .codes import ErrorCode
from .errors import HubError

_NAMESPACE = re.compile(r"[a-z][a-z0-9_-]{0,31}\Z")
# Printable ASCII without space and * / \ ? # % { }: safe in a URL path, in a Redis key with a hash tag,
# and never a pattern.
_REST = re.compile(r"[!-~]{1,200}\Z")
_FORBIDDEN = re.compile(r"[*/\\?#%{}]")


@lru_cache(maxsize=16384)
def namespace_of(channel: str) -> str:
    """The namespace of a well-formed channel name.

    Raises:
        HubError: ``bad_channel``, with the rule that the name breaks.
    """
    namespace, colon, rest = channel.partition(":")
    if not colon:
        raise _bad("a channel is named namespace:rest, and there is no colon in it")
    if _NAMESPACE.match(namespace) is None:
        raise _bad("the namespace before the colon must match [a-z][a-z0-9_-]{0,31}")
    if _REST.match(rest) is None:
        raise _bad("after the colon stand 1 to 200 printable ASCII characters without space")
    if (found := _FORBIDDEN.search(rest)) is not None:
        raise _bad(f"the character {found.group()} is not allowed in a channel name")
    return namespace


RESERVED = "hub"
"""The namespace of what the hub says of itself: nobody publishes there, and only who has `admin` may listen."""


def is_reserved(channel: str) -> bool:
    """Whether a channel is the hub's own."""
    return channel.startswith("hub:")


def is_channel(name: str) -> bool:
    """Whether `name` is inside the grammar."""
    try:
        namespace_of(name)
    except HubError:
        return False
    return True


def _bad(why: str) -> HubError:
    return HubError(ErrorCode.BAD_CHANNEL, why)

"""Many publications in one request: each is checked, and has its own answer."""

from collections.abc import Callable, Iterable
from typing import Any

from ..broker.base import untried
from ..protocol.errors import HubError
from ..protocol.event import Publication
from ..protocol.publications import Publish
from .host import Publishes
from .publications import published_fields

Allow = Callable[[Publish], Publication]
"""What makes a publication of a command, and raises `HubError` where it may not be published."""


async def publish_all(
    node: Publishes, commands: Iterable[Publish | HubError], allow: Allow, *, ordered: bool
) -> list[dict[str, Any]]:
    """Publish each; the answers are in order, and a refused one leaves the others.

    `ordered`: what is stored for a channel is a prefix of what was not refused for good. A batch that bears a
    source is ordered without asking: behind a higher position the lower one would count as handed on.
    """
    asked = list(commands)
    ordered = ordered or any(isinstance(command, Publish) and command.source is not None for command in asked)
    held: set[str] | None = set() if ordered else None
    entries = [_allowed(command, allow, held) for command in asked]
    publications = [entry for entry in entries if isinstance(entry, Publication)]
    published = iter(await node.publish(publications, ordered=ordered) if publications else ())
    return [
        _fields(command, entry if isinstance(entry, HubError) else next(published))
        for command, entry in zip(asked, entries, strict=True)
    ]


def _allowed(command: Publish | HubError, allow: Allow, held: set[str] | None) -> Publication | HubError:
    """`held` are the channels of which an entry has to wait, so that those behind it wait too."""
    if isinstance(command, HubError):
        return command
    channel = command.channel
    if held is not None and channel in held:
        return untried(channel)
    try:
        return allow(command)
    except HubError as error:
        error.channel = channel[:256]
        if held is not None and error.retry:
            held.add(channel)
        return error


def _fields(command: Publish | HubError, result: Any) -> dict[str, Any]:
    if isinstance(command, HubError):
        return command.fields()
    if isinstance(result, HubError):
        return {**result.fields(), "channel": command.channel[:256]}
    return published_fields(command, result)

"""Many publications in one request: each is checked, and has its own answer."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..broker.base import Published, untried
from ..protocol.errors import HubError
from ..protocol.event import Publication
from ..protocol.publications import Publish
from ..runtime.slices import mapped
from .host import Publishes
from .publications import published_fields

AT_ONCE = 250  # publications of a batch that are handed to the broker in one go

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
    entries = await mapped(lambda command: _allowed(command, allow, held), asked)
    publications = [entry for entry in entries if isinstance(entry, Publication)]
    published = iter(await _publish(node, publications, ordered=ordered))
    return [
        _fields(command, entry if isinstance(entry, HubError) else next(published))
        for command, entry in zip(asked, entries, strict=True)
    ]


async def _publish(
    node: Publishes, publications: Sequence[Publication], *, ordered: bool
) -> list[Published | HubError]:
    """One after the other where each stands for itself, so that a long batch leaves the loop to others."""
    most = max(1, len(publications)) if ordered else AT_ONCE
    results: list[Published | HubError] = []
    for at in range(0, len(publications), most):
        if at:
            await asyncio.sleep(0)
        results += await node.publish(publications[at : at + most], ordered=ordered)
    return results


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

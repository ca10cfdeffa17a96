"""Announcements that wait until what they tell of stands in the file."""

from collections.abc import Callable, Collection
from functools import partial

from ...protocol.event import Event
from ..base import Inbox, Listener, Member


class Held:
    """A `Listener` that hands on to another what is stored, once it is let go; all else at once."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._waiting: list[Callable[[], None]] = []
        self.on_command = listener.on_command

    def let_go(self) -> None:
        """Hand on what waits, in its order."""
        waiting, self._waiting = self._waiting, []
        for tell in waiting:
            tell()

    def on_event(self, epoch: str, event: Event) -> None:
        """An ephemeral one is stored nowhere."""
        if event.offset:
            self._waiting.append(partial(self._listener.on_event, epoch, event))
        else:
            self._listener.on_event(epoch, event)

    def on_presence(self, channel: str, change: str, member: Member) -> None:
        """Who is present is known to the connections of this process alone."""
        self._listener.on_presence(channel, change, member)

    def on_ack(self, channel: str, user: str, inbox: Inbox) -> None:
        """Held."""
        self._waiting.append(partial(self._listener.on_ack, channel, user, inbox))

    def on_lost(self, channels: Collection[str]) -> None:
        """Held."""
        self._waiting.append(partial(self._listener.on_lost, channels))

    def on_erased(self, channel: str) -> None:
        """Held."""
        self._waiting.append(partial(self._listener.on_erased, channel))

"""All who are told of what happens to clients."""

from ..connections.observer import Ending, Observed, Observer, Stranger
from ..protocol.errors import HubError
from .recorder import FlightRecorder


class Observers:
    """`Observer` that tells each of several; `recorder` is the one that remembers."""

    def __init__(self, log: Observer, recorder: FlightRecorder, *more: Observer) -> None:
        self.recorder = recorder
        self._all: list[Observer] = [log, recorder, *more]

    def tell(self, observer: Observer) -> None:
        """From now on this one too."""
        self._all.append(observer)

    def admitted(self, connection: Observed) -> None:
        """As `Observer.admitted`."""
        for each in self._all:
            each.admitted(connection)

    def ended(self, connection: Observed, ending: Ending) -> None:
        """As `Observer.ended`."""
        for each in self._all:
            each.ended(connection, ending)

    def turned_away(self, who: Stranger, error: HubError) -> None:
        """As `Observer.turned_away`."""
        for each in self._all:
            each.turned_away(who, error)

    def refused(self, connection: Observed, error: HubError) -> None:
        """As `Observer.refused`."""
        for each in self._all:
            each.refused(connection, error)

    def gap(self, channel: str, start: int, end: int, *, filled: bool) -> None:
        """As `Observer.gap`."""
        for each in self._all:
            each.gap(channel, start, end, filled=filled)

"""Handlers of a hub begin: the parts that a node needs of them, made once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..broker.base import Published
from ..connections.observer import Observer
from ..protocol.errors import HubError
from ..protocol.event import Event, Publication
from ..runtime.tasks import Tasks
from ..settings import Settings
from .asked import HandlerApplication
from .registry import Handlers
from .runner import Runner
from .threads import Threads
from .told import Teller, TellingObserver
from .watchdog import Watchdog

Publishing = Callable[[Sequence[Publication], Sequence[Published | HubError]], None]


class Tells(Protocol):
    """Where a node hands on what it hears, and what it has published."""

    on_event: Callable[[str, Event], None]
    on_published: Publishing | None


class Observed(Protocol):
    """Where further observers register."""

    def tell(self, observer: Observer) -> None:
        """From now on this one too."""


@dataclass(slots=True)
class Running:
    """The handlers of one node, running. `application` None: none of them has a say."""

    handlers: Handlers
    application: HandlerApplication | None
    teller: Teller
    runner: Runner
    threads: Threads
    watchdog: Watchdog
    tasks: Tasks

    def busy_threads(self) -> int:
        """Plain functions that run, or wait for a thread."""
        return self.threads.busy

    def join(self, node: Tells, observers: Observed) -> None:
        """From now on handlers are told of what happens on this node."""
        if self.handlers.disconnect:
            observers.tell(TellingObserver(self.teller.disconnected))
        if self.handlers.event:
            heard = node.on_event

            def on_event(epoch: str, event: Event) -> None:
                heard(epoch, event)
                self.teller.event(event)

            node.on_event = on_event
            node.on_published = self.teller.published

    async def close(self) -> None:
        """No handler is called any more."""
        self.watchdog.close()
        self.runner.close()
        await self.tasks.close()


def start(handlers: Handlers, settings: Settings) -> Running:
    """In the loop's thread."""
    handlers.frozen = True
    watchdog = Watchdog()
    watchdog.start()
    threads = Threads(settings.handler_threads)
    runner = Runner(settings.handler_timeout, threads, settings.handler_calls, watchdog)
    tasks = Tasks()
    teller = Teller(handlers, runner, tasks)
    application = HandlerApplication(handlers, runner) if handlers.asks else None
    return Running(handlers, application, teller, runner, threads, watchdog, tasks)

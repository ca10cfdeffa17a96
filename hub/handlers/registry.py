"""Handlers by what they are for: the decorators of a `Hub`."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ..auth.grants import Pattern, pattern
from ..namespaces import Namespaces

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Handler:
    """A function of the application, as it was registered: `channels` are the patterns that it is for."""

    name: str
    function: Callable[[Any], Any]
    is_async: bool
    channels: Pattern


class Handlers:
    """All handlers of one hub, in the order in which they were registered."""

    def __init__(self) -> None:
        self.connect: list[Handler] = []
        self.subscribe: list[Handler] = []
        self.publish: list[Handler] = []
        self.calls: dict[str, Handler] = {}
        self.disconnect: list[Handler] = []
        self.event: list[Handler] = []
        self.frozen = False

    def __bool__(self) -> bool:
        return bool(self.asks or self.disconnect or self.event)

    @property
    def asks(self) -> bool:
        """Whether any of them has a say, or answers."""
        return bool(self.connect or self.subscribe or self.publish or self.calls)

    def asked_about(self, namespaces: Namespaces) -> list[str]:
        """The namespaces whose publications `on_publish` has a say about."""
        patterns = [each for handler in self.publish for each in handler.channels.patterns]
        firsts = {each.partition(":")[0] for each in patterns}
        known = [name for name, _ in namespaces.items()]
        return known if any("*" in first for first in firsts) else [name for name in known if name in firsts]

    def add(self, to: list[Handler], function: Callable[..., Any], channels: tuple[str, ...] = ()) -> None:
        """Register a function.

        Raises:
            RuntimeError: the hub runs already.
        """
        to.append(self._made(function, channels))

    def add_call(self, method: str, function: Callable[..., Any]) -> None:
        """Register the one function that answers calls of `method`.

        Raises:
            ValueError: there is one.
        """
        if method in self.calls:
            raise ValueError(f"calls of {method} have a handler: {self.calls[method].name}")
        self.calls[method] = self._made(function, ())

    def _made(self, function: Callable[..., Any], channels: tuple[str, ...]) -> Handler:
        if self.frozen:
            raise RuntimeError("the hub runs already: register handlers before its lifespan is entered")
        call = function if inspect.isroutine(function) else type(function).__call__
        is_async = any(map(inspect.iscoroutinefunction, (function, call)))
        name = getattr(function, "__qualname__", type(function).__qualname__)
        return Handler(name, function, is_async, pattern(channels))


class Registers:
    """The decorators. Each returns the function as it was; `docs/handlers.md` has examples."""

    def __init__(self) -> None:
        self.handlers = Handlers()

    def on_connect(self, function: Function) -> Function:
        """Asked before a connection is let in: `ConnectRequest` → None, `Admit`, or `Refuse`."""
        self.handlers.add(self.handlers.connect, function)
        return function

    def on_subscribe(self, *channels: str) -> Callable[[Function], Function]:
        """Asked before a subscription: `SubscribeRequest` → None, `Allow`, or `Refuse`."""
        return self._for(self.handlers.subscribe, channels)

    def on_publish(self, *channels: str) -> Callable[[Function], Function]:
        """Asked before an event is stored: `PublishRequest` → None, `Change`, or `Refuse`."""
        return self._for(self.handlers.publish, channels)

    def on_call(self, method: str) -> Callable[[Function], Function]:
        """Answers a client's call: `CallRequest` → a value of JSON, or `Refuse`."""

        def register(function: Function) -> Function:
            self.handlers.add_call(method, function)
            return function

        return register

    def on_disconnect(self, function: Function) -> Function:
        """Told that a connection is over: `Disconnected`."""
        self.handlers.add(self.handlers.disconnect, function)
        return function

    def on_event(self, *channels: str) -> Callable[[Function], Function]:
        """Told of an event, after the fact: `EventSeen`. On every node that hears of it, at most once each."""
        return self._for(self.handlers.event, channels)

    def _for(self, to: list[Handler], channels: tuple[str, ...]) -> Callable[[Function], Function]:
        if not channels or not all(isinstance(each, str) and each for each in channels):
            raise TypeError('name the channels: @hub.on_subscribe("doc:*")')

        def register(function: Function) -> Function:
            self.handlers.add(to, function, channels)
            return function

        return register

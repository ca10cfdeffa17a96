"""A coroutine's first step without a task: most never wait, and a task costs more than what they do.

In such a step there is no current task, whoever calls: `asyncio.timeout` would else bind to the caller's, and cut
that one. What needs a task has one after `in_task`.
"""

import asyncio
from asyncio.tasks import _enter_task, _leave_task  # documented for those who step coroutines by themselves
from collections.abc import Coroutine, Generator, Iterable
from contextvars import Context
from typing import Any, TypeVar, cast

T = TypeVar("T")

_BEGUN = object()


class _Rest(Coroutine[Any, Any, T]):
    """What is left of a coroutine after its first step; it begins with what that waits for."""

    __slots__ = ("_work", "awaited")

    def __init__(self, work: Coroutine[Any, Any, T], awaited: Any) -> None:
        self._work = work
        self.awaited = awaited

    def send(self, value: Any) -> Any:
        awaited, self.awaited = self.awaited, _BEGUN
        return self._work.send(value) if awaited is _BEGUN else awaited

    def throw(self, *error: Any) -> Any:
        self.awaited = _BEGUN
        return self._work.throw(*error)

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Generator[Any, None, T]:
        return cast("Generator[Any, None, T]", self)

    def __iter__(self) -> "_Rest[T]":
        return self

    def __next__(self) -> Any:
        return self.send(None)


def rest_of(work: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None] | None:
    """Run `work` until it waits; what is left of it, for a task to run, or None where it is through.

    Raises:
        Exception: what `work` raises before it waits.
    """
    found = _begun(work)
    return found if isinstance(found, _Rest) else None


async def together(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """As `asyncio.gather`, with a task only for each that has to wait."""
    begun = list(works)
    found: list[Any] = []
    try:
        for work in begun:
            found.append(_begun(work))
    except BaseException:
        for work in begun:
            work.close()
        raise
    waiting = [place for place, each in enumerate(found) if isinstance(each, _Rest)]
    if waiting:
        results = await asyncio.gather(*(found[place] for place in waiting))
        for place, result in zip(waiting, results, strict=True):
            found[place] = result
    return found


def begun_in_task(
    work: Coroutine[Any, Any, T], context: Context
) -> "tuple[T, None] | tuple[None, asyncio.Task[T]]":
    """Run `work` in `context` until it waits: what it gives, or the task that goes on with it. That task is the
    current one from the first step on, as for an eager task of Python 3.12: what binds to it may be used in `work`.

    Raises:
        Exception: what `work` raises before it waits.
    """
    loop = asyncio.get_running_loop()
    begun = _Begun(work)
    task: asyncio.Task[T] = loop.create_task(begun, context=context)
    caller = asyncio.current_task(loop)
    if caller is not None:
        _leave_task(loop, caller)
    _enter_task(loop, task)
    try:
        begun.awaited = context.run(work.send, None)
        return None, task
    except StopIteration as end:
        begun.through = True
        return end.value, None
    except BaseException:
        begun.through = True
        raise
    finally:
        _leave_task(loop, task)
        if caller is not None:
            _enter_task(loop, caller)


class _Begun(_Rest[Any]):
    """Of a task whose work has had its first step: goes on with what that waits for, or is through."""

    __slots__ = ("through",)

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        super().__init__(work, None)
        self.through = False

    def send(self, value: Any) -> Any:
        if self.through:
            raise StopIteration
        return super().send(value)

    def throw(self, *error: Any) -> Any:
        if self.through:
            raise StopIteration
        return super().throw(*error)


async def in_task() -> None:
    """Wait for nothing, in a task: for what needs one, and may be called in a step without."""
    if asyncio.current_task() is None:
        await asyncio.sleep(0)


def _begun(work: Coroutine[Any, Any, T]) -> "T | _Rest[T]":
    """What `work` gives, or what is left of it."""
    loop = asyncio.get_running_loop()
    caller = asyncio.current_task(loop)
    if caller is not None:
        _leave_task(loop, caller)
    try:
        return _Rest(work, work.send(None))
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        if caller is not None:
            _enter_task(loop, caller)

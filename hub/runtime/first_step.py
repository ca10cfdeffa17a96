"""A coroutine's first step without a task: most never wait, and a task costs more than what they do.

In such a step there is no current task: what calls `asyncio.timeout` has to wait for something first, or be a task.
"""

from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any


def rest_of(work: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None] | None:
    """Run `work` until it waits; what is left of it, for a task to run, or None where it is through.

    Raises:
        Exception: what `work` raises before it waits.
    """
    try:
        awaited = work.send(None)
    except StopIteration:
        return None
    return _rest(work, awaited)


async def _rest(work: Coroutine[Any, Any, None], awaited: Any) -> None:
    await _steps(work, awaited)


@coroutine
def _steps(work: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, None, None]:
    """What the loop would do with `work` itself, from the first thing that it waits for."""
    try:
        while True:
            try:
                yield awaited
            except GeneratorExit:
                work.close()
                raise
            except BaseException as error:
                awaited = work.throw(error)
            else:
                awaited = work.send(None)
    except StopIteration:
        return

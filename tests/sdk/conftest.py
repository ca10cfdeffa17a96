"""Every test of the SDK has a deadline: one that waits for ever fails, and says where."""

import asyncio
import functools
import inspect
from typing import Any

import pytest

DEADLINE = 60.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not isinstance(item, pytest.Function) or "tests/sdk" not in item.path.as_posix():
            continue
        if inspect.iscoroutinefunction(item.obj):
            item.obj = _limited(item.obj)


def _limited(test: Any) -> Any:
    @functools.wraps(test)
    async def limited(*args: Any, **kwargs: Any) -> None:
        async with asyncio.timeout(DEADLINE):
            await test(*args, **kwargs)

    return limited

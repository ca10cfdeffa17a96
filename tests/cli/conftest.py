"""A hub in memory for the commands that talk to one."""

from collections.abc import Iterator

import pytest

from ..support.server import RunningHub, running_hub


@pytest.fixture(scope="module")
def running() -> Iterator[RunningHub]:
    with running_hub() as hub:
        yield hub

"""One hub a lane for the tests that need no settings of their own."""

from collections.abc import Iterator

import pytest

from ..support.server import RunningHub
from .lanes import Lane, running


@pytest.fixture(scope="session", params=["fast", "portable"])
def lane(request: pytest.FixtureRequest) -> Lane:
    found: Lane = request.param
    return found


@pytest.fixture(scope="session")
def hub(lane: Lane) -> Iterator[RunningHub]:
    with running(lane, allowed_origins=["https://good.example"]) as hub:
        yield hub

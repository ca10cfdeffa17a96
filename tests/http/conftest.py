"""One hub for the tests of this folder that need no settings of their own."""

from collections.abc import Iterator

import pytest

from ..support.server import RunningHub, running_hub


@pytest.fixture(scope="session")
def hub() -> Iterator[RunningHub]:
    """A hub with the shipped namespaces."""
    with running_hub() as running:
        yield running

"""The scenarios by name. Each is a function of a ``Bench``, with its defaults beside it."""

from __future__ import annotations

from collections.abc import Callable

from loadtest.bench import Bench
from loadtest.scenarios.crowded import idle, soak
from loadtest.scenarios.dashboard import mixed_dashboard
from loadtest.scenarios.fanout import fan_out, many_channels
from loadtest.scenarios.returning import resume
from loadtest.scenarios.single import connect, publish
from loadtest.scenarios.slow import slow_consumers

Scenario = Callable[[Bench], None]
SCENARIOS: dict[str, Scenario] = {
    "fan-out": fan_out,
    "many-channels": many_channels,
    "publish": publish,
    "idle": idle,
    "connect": connect,
    "resume": resume,
    "slow-consumers": slow_consumers,
    "mixed-dashboard": mixed_dashboard,
    "soak": soak,
}
#: Scenarios that ask only for what every peer can do.
COMPARABLE = ("fan-out", "many-channels", "publish", "connect", "idle", "resume")

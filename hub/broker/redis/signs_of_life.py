"""For how long a node's word stands: until its next sign of life, and no shorter because a clock was set."""

import asyncio

from .client.shard import Shard

FIRST_TTL_S = 20.0  # until the node has said how long its signs of life last
_STEP_S = 40.0  # a step of the clock is made up for until every deadline from before it was set anew


def skipped_ms(shard: Shard) -> int:
    """By how many ms a server's clock was lately set forward: deadlines from before get them."""
    return shard.commander.clock.skipped_lately_ms(_STEP_S, asyncio.get_running_loop().time())

"""What happens to a Cluster: nothing is destroyed, so everything must come, and a gap is a failure."""

from .scenario import Fault
from .stage import CHANNELS, STATE, Stage

BETWEEN = 5  # events of each channel, between one move and the next


async def slots_moved_and_back(stage: Stage) -> None:
    assert stage.cluster is not None
    for _ in range(2):
        for channel in CHANNELS:
            await stage.cluster.move_away(channel)
        await stage.until_published(BETWEEN)


async def places_changed(stage: Stage) -> None:
    """The masters of both channels give their places to their replicas, one after the other."""
    assert stage.cluster is not None
    for channel in CHANNELS:
        await stage.cluster.fail_over(channel)
        await stage.until_published(BETWEEN)


async def master_killed(stage: Stage) -> None:
    """What is stored just then may be lost with the master; so for a moment there is nothing."""
    assert stage.cluster is not None
    await stage.flow.hold()
    master = await stage.cluster.owner(STATE)
    await master.replicated(f"{{{STATE}}}barrier")
    await stage.cluster.lose_master(STATE)
    stage.flow.release()


CLUSTERED = (
    Fault(
        "cluster-slots",
        "Cluster: the channels' slots moved to other masters, and on, under flow",
        slots_moved_and_back,
        setup="cluster",
    ),
    Fault(
        "cluster-planned",
        "Cluster: the channels' masters give their places to their replicas (`CLUSTER FAILOVER`)",
        places_changed,
        setup="cluster",
    ),
    Fault(
        "cluster-killed",
        "Cluster: a channel's master killed with -9, its replica follows",
        master_killed,
        setup="cluster",
    ),
)

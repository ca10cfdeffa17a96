"""What whoever can write to the Redis may throw at the nodes: each is counted and skipped, and nothing happens."""

import json
import pickle
import time

from hub.auth.signing import Signer

from .stage import CHANNELS, PREFIX, Stage

MEGABYTES_40 = 40 * 1024 * 1024
COUNTED = (
    "incident:unreadable_messages",
    "incident:listener_disconnects",  # the 40 MB: more than Redis keeps for one subscriber
    "error:foreign_command",
)


async def thrown(stage: Stage) -> None:
    """All of it, on every channel, and on the nodes' own."""
    for channel in CHANNELS:
        for data in await _bytes_for(stage, channel):
            await stage.server.command("PUBLISH", f"{PREFIX}:{{{channel}}}:e", data)
    commands = f"{PREFIX}:{{commands}}"
    for data in _commands():
        await stage.server.command("PUBLISH", commands, data)
    await stage.server.command("PUBLISH", f"{PREFIX}:{{{CHANNELS[0]}}}:e", b"x" * MEGABYTES_40)


async def _bytes_for(stage: Stage, channel: str) -> list[bytes]:
    entry = (await stage.server.command("XREVRANGE", f"{PREFIX}:{{{channel}}}:s", "+", "-", "COUNT", 1))[0][
        1
    ][1]
    numbering = await stage.server.command("GET", f"{PREFIX}:{{{channel}}}:m")
    epoch, top = numbering.split(b"|")[:2]
    real = b"\x01e" + epoch + b"|" + top + b"|" + entry
    far = b"\x01e" + epoch + b"|%d|" % (int(top) + 1000) + entry
    return [
        b"",
        b"garbage",
        b"\xff" * 100_000,
        *(real[:length] for length in range(1, len(real), 7)),  # cut
        b"\x02" + real[1:],  # a version to come
        json.dumps({"type": "tick", "channel": channel, "payload": {"n": 1}}).encode(),
        pickle.dumps({"n": 1}),
        real,  # what was said once already
        far,  # what was never stored
        b"\x01eforeign0|1|" + entry,  # of a numbering that is not
        b"\x01r",  # nothing began anew
    ]


def _commands() -> list[bytes]:
    """Nobody may be disconnected or revoked by these: none is signed as nodes sign."""
    disconnect = {
        "do": "disconnect",
        "user": "ann",
        "connection": None,
        "reconnect": False,
        "at": time.time(),
    }
    revoke = {"do": "revoke", "entry": "sub:ann", "until": time.time() + 3600, "at": time.time()}
    forged = [json.dumps({**each, "from": "n_stranger"}).encode() for each in (disconnect, revoke)]
    signer = Signer(b"a secret that is not the nodes' own, of enough bytes", "node")
    return [b"", b"garbage", *forged, *(signer.sign(each).encode() for each in forged)]

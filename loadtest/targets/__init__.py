"""What can be measured, by name."""

from __future__ import annotations

from loadtest.targets.base import Target
from loadtest.targets.centrifugo import Centrifugo
from loadtest.targets.floor import Floor
from loadtest.targets.hub import Hub, PortableHub
from loadtest.targets.hub_centrifugo import CentrifugoHub
from loadtest.targets.nats import Nats
from loadtest.targets.nchan import Nchan
from loadtest.targets.socketio import NodeSocketIO, PythonSocketIO
from loadtest.targets.starlette import StarletteLoop

__all__ = ["BY_NAME", "PEERS", "Hub", "Target"]

PEERS: tuple[type[Target], ...] = (
    Nchan,
    StarletteLoop,
    PythonSocketIO,
    NodeSocketIO,
    Nats,
    Floor,
    Centrifugo,
)
_ALL: tuple[type[Target], ...] = (Hub, PortableHub, CentrifugoHub, *PEERS)
BY_NAME: dict[str, type[Target]] = {kind.name: kind for kind in _ALL}

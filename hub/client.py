"""The Python client.

```python
async with Client("ws://hub:8000/ws", token=make_token) as hub:
    async for event in hub.subscribe("job:42"):
        print(event.type, event.payload)
```
"""

from hub.protocol.codes import ErrorCode, Outcome
from hub.protocol.errors import HubError
from hub.protocol.position import Position

from .runtime.backoff import Timing
from .sdk.client import Client
from .sdk.errors import NotConnected, QueueFull, SdkError, Stopped, TokenRefused, UnknownOutcome
from .sdk.items import (
    Event,
    Gap,
    History,
    Item,
    PresenceChange,
    PresenceKind,
    Published,
    Snapshot,
    State,
    Status,
)
from .sdk.subscription import Subscription
from .sdk.sync_client import SyncClient, SyncSubscription

__all__ = [
    "Client",
    "ErrorCode",
    "Event",
    "Gap",
    "History",
    "HubError",
    "Item",
    "NotConnected",
    "Outcome",
    "Position",
    "PresenceChange",
    "PresenceKind",
    "Published",
    "QueueFull",
    "SdkError",
    "Snapshot",
    "State",
    "Status",
    "Stopped",
    "Subscription",
    "SyncClient",
    "SyncSubscription",
    "Timing",
    "TokenRefused",
    "UnknownOutcome",
]

"""The Python publisher.

```python
async with Publisher("http://hub:8000", api_key=KEY) as hub:
    await hub.publish("job:42", "job_status", {"state": "running"}, key="42")
```
"""

from hub.protocol.codes import ErrorCode, Outcome
from hub.protocol.errors import HubError

from .runtime.backoff import Timing
from .sdk.delivery import Delivery, TryAgain
from .sdk.errors import NotConnected, QueueFull, SdkError, TokenRefused, UnknownOutcome
from .sdk.items import Published
from .sdk.publisher import NotPublished, Publisher
from .sdk.sync import SyncPublisher

__all__ = [
    "Delivery",
    "ErrorCode",
    "HubError",
    "NotConnected",
    "NotPublished",
    "Outcome",
    "Published",
    "Publisher",
    "QueueFull",
    "SdkError",
    "SyncPublisher",
    "Timing",
    "TokenRefused",
    "TryAgain",
    "UnknownOutcome",
]

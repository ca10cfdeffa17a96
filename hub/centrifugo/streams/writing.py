"""How an answer of the Centrifugo protocol is written."""

import random

from ...protocol.replies import Window
from ..dialect import EVENTS, ONE_WAY_EVENTS, CentrifugoDialect

EVENT_STREAM = "text/event-stream"


class CentrifugoWriting:
    """A `transport.stream.Writing`. Pings are messages of the connection, so that there are no comments."""

    comment = b""

    def __init__(self, dialect: CentrifugoDialect) -> None:
        self.encoding = dialect
        form = dialect.form
        self._events = form in (EVENTS, ONE_WAY_EVENTS)
        plain = "application/octet-stream" if form.binary else "application/x-ndjson"
        self.media_type = EVENT_STREAM if self._events else plain

    def render(self, data: bytes) -> bytes:
        """See `Writing`."""
        return data

    def retry(self, window: Window) -> bytes:
        """See `Writing`. The SDK has its own ways; an EventSource without one does as it is told."""
        return b"retry: %d\n\n" % random.randint(window[0], max(window)) if self._events else b""

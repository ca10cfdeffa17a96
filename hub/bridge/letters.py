"""Dead letters of a bridge: what could not be handed on, kept by the hub with its bytes as they came."""

import base64
import hashlib
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol

from hub.protocol.codec import dumps_json
from hub.protocol.errors import HubError

LONGEST_REASON = 500
LONGEST_BODY = 2_097_152  # bytes: what is longer is kept as far as that


@dataclass(frozen=True, slots=True)
class Letter:
    """`origin` says where it came from: ``orders:kafka/3@17``. `event` is the publication that the hub refused,
    where it came so far: what a replay publishes."""

    id: str
    origin: str
    code: str
    reason: str
    tries: int
    body: bytes
    event: dict[str, Any] | None = None

    def fields(self) -> dict[str, Any]:
        """As ``POST /v1/deadletters`` takes it."""
        fields = {
            "id": self.id,
            "origin": self.origin,
            "code": self.code,
            "reason": self.reason[:LONGEST_REASON],
            "tries": self.tries,
            "body": base64.b64encode(self.body[:LONGEST_BODY]).decode(),
        }
        return fields if self.event is None else {**fields, "event": self.event}


def letter_id(what: str) -> str:
    """The id of the letter of a record (and a channel): a crash in between makes no second one."""
    return hashlib.sha256(what.encode()).hexdigest()[:32]


def publication(event: dict[str, Any]) -> dict[str, Any] | None:
    """What a replay of a refused event would publish; None of one that can't even be written down."""
    kept = {name: value for name, value in event.items() if name not in ("source", "event_id_ttl_ms")}
    try:
        dumps_json(kept)
    except HubError:
        return None
    return kept


class Letterbox(Protocol):
    """Where letters go."""

    async def post(self, letter: Letter) -> None:
        """Keep it; once for each id, however often it is posted. Waits while the hub is away."""


class TooManyLetters(Exception):
    """More dead letters in a minute than a working mapping makes: going on would drain the source into them."""


class LetterRate:
    """At most `most` letters in any 60 seconds; the clock is handed in."""

    def __init__(self, most: int) -> None:
        self._times: deque[float] = deque(maxlen=most)
        self._most = most

    def count(self, now: float) -> None:
        """One more.

        Raises:
            TooManyLetters: and it is not counted.
        """
        if len(self._times) == self._most and now - self._times[0] < 60.0:
            raise TooManyLetters(f"more than {self._most} dead letters in a minute: is the mapping right?")
        self._times.append(now)

"""``[[webhooks]]`` of the settings, checked."""

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from ..broker.base import Kind
from ..outgoing.settings import Signed, checked
from ..outgoing.signing import keys_of
from ..settings import Settings

EVENTS = frozenset({Kind.EVENT, Kind.LEASE_EXPIRED})
PRESENCE = frozenset({Kind.PRESENCE_JOINED, Kind.PRESENCE_LEFT})
OCCUPANCY = frozenset({Kind.CHANNEL_OCCUPIED, Kind.CHANNEL_VACATED})
OF_CHANNELS = EVENTS | PRESENCE | OCCUPANCY


class WebhookSettings(Signed):
    """An endpoint. `channels` are patterns; `events` are kinds of what it is told. `batch`: so many in one request
    at most. `timeout` is seconds for one request. `origin` is who asks, in the handshake of CloudEvents."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")]
    url: Annotated[str, Field(pattern=r"^https?://[^\s#@]+$", max_length=2048)]
    secret: Annotated[list[SecretStr], Field(min_length=1, max_length=8)]
    channels: Annotated[list[str], Field(max_length=1000)] = Field(default_factory=list)
    events: Annotated[list[Kind], Field(min_length=1)] = Field(default_factory=lambda: [Kind.EVENT])
    format: Literal["hub", "cloudevents"] = "hub"
    batch: Annotated[int, Field(ge=1, le=100)] = 1
    timeout: Annotated[float, Field(ge=0.1, le=30)] = 15.0
    origin: str = "notification-hub"

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        keys_of(self.secret)
        if OF_CHANNELS & set(self.events) and not self.channels:
            raise ValueError("channels is missing: of which channels are its events?")
        return self

    @property
    def waits_for_events(self) -> bool:
        """Whether it is told of a channel's events."""
        return bool(EVENTS & set(self.events))


def read(settings: Settings) -> list[WebhookSettings]:
    """The endpoints of a hub, checked.

    Raises:
        ValueError: a line for each that is wrong; no value is quoted.
    """
    found, wrong = checked(WebhookSettings, "webhooks", settings.webhooks)
    names = [each.name for each in found]
    if len(set(names)) != len(names):
        wrong.append("webhooks: two have one name")
    if wrong:
        raise ValueError("\n".join(wrong))
    return found

"""``[[webhooks]]`` of the settings, checked."""

from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from ..broker.base import Kind
from ..outgoing.signing import keys_of
from ..settings import Settings


class WebhookSettings(BaseModel):
    """An endpoint. `channels` are patterns; `events` are kinds of what it is told. `batch`: so many in one request
    at most. `timeout` is seconds for one request. `origin` is who asks, in the handshake of CloudEvents."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")]
    url: Annotated[str, Field(pattern=r"^https?://[^\s#@]+$", max_length=2048)]
    secret: Annotated[list[SecretStr], Field(min_length=1, max_length=8)]
    channels: Annotated[list[str], Field(max_length=1000)] = Field(default_factory=list)
    events: Annotated[list[Kind], Field(min_length=1)] = Field(default_factory=lambda: [Kind.EVENT])
    format: Literal["hub", "cloudevents"] = "hub"
    batch: Annotated[int, Field(ge=1, le=100)] = 1
    timeout: Annotated[float, Field(ge=0.1, le=30)] = 15.0
    origin: str = "notification-hub"

    @field_validator("secret", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        return [value] if isinstance(value, str | SecretStr) else value

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        keys_of(self.secret)
        of_channels = {Kind.EVENT, Kind.LEASE_EXPIRED, Kind.PRESENCE_JOINED, Kind.PRESENCE_LEFT}
        if of_channels & set(self.events) and not self.channels:
            raise ValueError("channels is missing: of which channels are its events?")
        return self

    @property
    def waits_for_events(self) -> bool:
        """Whether it is told of a channel's events."""
        return bool({Kind.EVENT, Kind.LEASE_EXPIRED} & set(self.events))

    @property
    def keys(self) -> list[bytes]:
        """The secrets as bytes."""
        return keys_of(self.secret)


def read(settings: Settings) -> list[WebhookSettings]:
    """The endpoints of a hub, checked.

    Raises:
        ValueError: a line for each that is wrong; no value is quoted.
    """
    found: list[WebhookSettings] = []
    wrong: list[str] = []
    for number, table in enumerate(settings.webhooks):
        try:
            found.append(WebhookSettings.model_validate(table))
        except ValidationError as error:
            for each in error.errors(include_input=False):
                path = ".".join(map(str, (f"webhooks[{number}]", *each["loc"])))
                wrong.append(f"{path}: {each['msg'].removeprefix('Value error, ')}")
    names = [each.name for each in found]
    if len(set(names)) != len(names):
        wrong.append("webhooks: two have one name")
    if wrong:
        raise ValueError("\n".join(wrong))
    return found

"""``[[hooks]]``, ``[cloudevents]`` and ``[dapr]`` of the settings, checked."""

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from ..bridge.mapping import Mapper
from ..bridge.settings import MappingSettings
from ..bridge.templates import BadTemplate
from ..settings import Settings

Header = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
SHORTEST_SECRET = 16

OWN_IDS = {"stripe": "{data.id}", "slack": "{data.event_id}"}
"""Senders who put a delivery's identity into its body."""


class HookSettings(MappingSettings):
    """A webhook that is taken in. `secrets`: several while one is exchanged for another.

    Of the kind ``hmac``: `header` has `prefix` and the HMAC of the body, in `encoding`; with `timestamp_header`
    that of ``<its value>.<body>``. `id_header` names the delivery.
    """

    kind: Literal["standard", "github", "stripe", "slack", "hmac"]
    secrets: Annotated[list[SecretStr], Field(min_length=1, max_length=8)]
    format: Literal["json", "cloudevents", "raw"] = "json"
    header: Header | None = None
    prefix: str = ""
    encoding: Literal["hex", "base64"] = "hex"
    algorithm: Literal["sha256", "sha512", "sha1"] = "sha256"
    id_header: Header | None = None
    timestamp_header: Header | None = None

    @property
    def keys(self) -> list[bytes]:
        """The secrets as bytes; those of Standard Webhooks are base64 behind ``whsec_``.

        Raises:
            ValueError: one is none.
        """
        texts = [secret.get_secret_value() for secret in self.secrets]
        if self.kind != "standard":
            return [text.encode() for text in texts]
        try:
            return [base64.b64decode(text.removeprefix("whsec_"), validate=True) for text in texts]
        except (binascii.Error, ValueError):
            raise ValueError("a secret of kind standard is whsec_ and base64") from None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "hmac" and self.header is None:
            raise ValueError("a hook of kind hmac needs header")
        if any(len(key) < SHORTEST_SECRET for key in self.keys):
            raise ValueError(f"a secret is too short; it needs {SHORTEST_SECRET} bytes or more")
        self.id = self.id or OWN_IDS.get(self.kind)
        return self


class CloudEventsSettings(MappingSettings):
    """CloudEvents by HTTP; `source` and `id` together are the identity. `origins` of the WebHook handshake that
    may send, ``*`` for all."""

    name: str = "cloudevents"
    format: Literal["cloudevents"] = "cloudevents"
    channel: str | list[str] = "{subject}"
    event: str = "{type}"
    id: str | None = "{source}#{id}"
    origins: list[str] = Field(default_factory=list)


class DaprSubscription(MappingSettings):
    """A topic of a Dapr pub/sub component. ``data.event_id``, else the CloudEvent's `id`, is the identity."""

    pubsub: str
    topic: str
    format: Literal["dapr"] = "dapr"
    dead_letter_topic: str | None = None


class DaprSettings(BaseModel):
    """What a sidecar subscribes to; `token` is its ``APP_API_TOKEN``."""

    model_config = ConfigDict(extra="forbid")

    token: Annotated[SecretStr, Field(min_length=SHORTEST_SECRET)]
    subscriptions: Annotated[list[DaprSubscription], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class IntakeSettings:
    """All that is taken in."""

    hooks: list[HookSettings]
    cloudevents: CloudEventsSettings | None
    dapr: DaprSettings | None


def read(settings: Settings) -> IntakeSettings:
    """The settings of a node, checked.

    Raises:
        ValueError: a line for each that is wrong; no value is quoted.
    """
    wrong: list[str] = []

    def checked(where: str, model: type[BaseModel], table: Any) -> Any:
        try:
            return model.model_validate(table)
        except ValidationError as error:
            wrong.extend(_in_words(where, each) for each in error.errors(include_input=False))

    hooks = [checked(f"hooks[{number}]", HookSettings, each) for number, each in enumerate(settings.hooks)]
    given = settings.cloudevents
    events = checked("cloudevents", CloudEventsSettings, given) if given is not None else None
    dapr = checked("dapr", DaprSettings, settings.dapr) if settings.dapr is not None else None
    found = IntakeSettings([each for each in hooks if each is not None], events, dapr)
    wrong += _mappings(found)
    if wrong:
        raise ValueError("\n".join(wrong))
    return found


def _mappings(found: IntakeSettings) -> list[str]:
    """What is wrong with names and mappings."""
    wrong = []
    names = [hook.name for hook in found.hooks]
    if len(set(names)) != len(names):
        wrong.append("hooks: two have one name")
    subscriptions = found.dapr.subscriptions if found.dapr else []
    for each in (*found.hooks, *subscriptions, *([found.cloudevents] if found.cloudevents else [])):
        try:
            Mapper(each)
        except BadTemplate as error:
            wrong.append(f"{each.name}: {error}")
    return wrong


def _in_words(where: str, error: Any) -> str:
    path = ".".join(map(str, (where, *error["loc"])))
    return f"{path}: {error['msg'].removeprefix('Value error, ')}"

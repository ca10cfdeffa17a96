"""One ``[[bridges]]`` of ``hub.toml``, checked."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from ..protocol.masking import PATH
from .more_kinds import KINDS as OF_PLUGINS
from .more_kinds import OWN as KINDS

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


class MappingSettings(BaseModel):
    """What becomes of a message. Templates: `templates`; `filter` and `payload` are jmespath.

    `mask`: paths (``payload.card.number``) whose values dead letters do not show, dropped or as their digest.
    `id_memory` (s): for how long the hub remembers the identities of what has no positions. `tombstone`: what
    becomes of a message without a body.
    """

    model_config = ConfigDict(extra="forbid")

    name: Name
    format: Literal["json", "cloudevents", "dapr", "raw"] = "json"
    channel: str | list[str]
    event: str
    key: str | None = None
    version: str | None = None
    id: str | None = None
    payload: str = "data"
    meta: list[str] = Field(default_factory=list)
    filter: str | None = None
    final: str | None = None
    tombstone: Literal["skip", "final", "letter"] = "letter"
    mask: list[Annotated[str, Field(pattern=PATH)]] = Field(default_factory=list)
    mask_how: Literal["drop", "hash"] = "drop"
    id_memory: Annotated[float, Field(ge=300, le=7 * 86_400)] = 86_400.0


class BridgeSettings(MappingSettings):
    """What a bridge reads, and what becomes of it.

    `generation` tells one life of a source from the next where the source does not say so itself (Kafka): raise it
    when a topic was made anew. `dead_per_minute`: more dead letters stop the bridge. `entry_ttl` (s): what is older
    when it is read is not handed on, but kept as a dead letter (streams of unequal priority). `replicas`: nothing
    is acknowledged at the source before so many replicas of the hub's Redis have it.
    """

    kind: str

    # the source
    servers: list[str] = Field(default_factory=list)
    topics: list[str] = Field(default_factory=list)
    group: str = "hub"
    url: SecretStr | None = None
    queue: str | None = None
    stream: str | None = None
    subject: str | None = None
    streams: list[str] = Field(default_factory=list)
    weights: list[int] | None = None
    table: str = "hub_outbox"
    username: str | None = None
    password: SecretStr | None = None
    tls: bool = False
    ca: str | None = None
    sasl: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    generation: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    options: dict[str, Any] = Field(default_factory=dict, repr=False)  # of a plugin's kind

    # what becomes of a message
    tombstone: Literal["skip", "final", "letter"] = "skip"

    # how much, how long
    batch: Annotated[int, Field(ge=1, le=1000)] = 500
    linger: Annotated[float, Field(ge=0, le=5)] = 0.005
    entry_ttl: Seconds | None = None
    dead_per_minute: Count = 100
    divert_after: Seconds = 300.0
    dead_topic: bool = False
    replicas: Annotated[int, Field(ge=0, le=16)] = 0

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in KINDS and kind not in OF_PLUGINS:
            raise ValueError(f"there is no kind {kind[:32]}: there are {', '.join((*KINDS, *OF_PLUGINS))}")
        return kind

    @model_validator(mode="after")
    def _complete(self) -> "BridgeSettings":
        needed: dict[str, tuple[str, ...]] = {
            "kafka": ("servers", "topics"),
            "rabbitmq": ("url", "queue"),
            "nats": ("servers", "stream"),
            "redis_stream": ("url", "streams"),
            "postgres": ("url",),
        }
        missing = [name for name in needed.get(self.kind, ()) if not getattr(self, name)]
        if missing:
            raise ValueError(f"a bridge of kind {self.kind} needs {' and '.join(missing)}")
        if self.options and self.kind in KINDS:
            raise ValueError(f"options is for kinds of plugins; {self.kind} is the hub's own")
        if self.weights is not None and len(self.weights) != len(self.streams):
            raise ValueError("weights has a number for each of streams")
        return self


def bridges(tables: list[dict[str, Any]]) -> list[BridgeSettings]:
    """The bridges of ``hub.toml``; names are unique, as positions and dead letters bear them.

    Raises:
        pydantic.ValidationError, ValueError: what is wrong.
    """
    found = [BridgeSettings.model_validate(table) for table in tables]
    names = [each.name for each in found]
    if len(set(names)) != len(names):
        raise ValueError("two bridges have one name: positions and dead letters are kept by it")
    return found

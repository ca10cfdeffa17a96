"""What a namespace's channels are like: settings, known to brokers and nodes alike."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, model_validator

from .protocol.channels import RESERVED, namespace_of
from .protocol.codes import ErrorCode
from .protocol.errors import HubError
from .protocol.fields import MAX_NAME
from .protocol.masking import PATH, masked

CLIENT_EVENT = "publication"
"""The type of events by clients that have no word for it."""

Seconds = Annotated[float, Field(gt=0, le=366 * 86400)]


class Mode(StrEnum):
    """How events of a channel are delivered."""

    LOG = "log"  # every event, in order; stored; never merged
    STATE = "state"  # as log, with a snapshot by key; merged by key under pressure
    EPHEMERAL = "ephemeral"  # neither stored nor numbered; merged by key under pressure, dropped first


class Namespace(BaseModel):
    """The rules of one namespace. Times are seconds.

    `history_size` events are kept for `history_ttl` from the channel's last publication. The numbering lives
    `meta_ttl` from the last publication or the last check by a node with subscribers. A key leaves the
    snapshot `snapshot_ttl` after its final event, or `snapshot_idle_ttl` after its last; `snapshot_keys`
    bounds the keys of a channel. `publish_rate` events a second, with bursts of `publish_burst`, are taken
    from one connection. `client_subscribe` and `client_event` are for clients that speak another protocol:
    whether their tokens, which grant nothing, open the channels, and the type of their events; `client_anonymous`
    beside `client_subscribe` opens them to who has no token too. `schema_` names a JSON Schema file (`schema` in
    the settings) for payloads. The values at `mask` (``payload.card.number``) are for subscribers: webhooks, dead
    letters and the console have them dropped, or as a digest (`mask_how`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    mode: Mode = Mode.LOG
    history_size: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    history_ttl: Seconds = 3600.0
    meta_ttl: Seconds = 7 * 86400.0
    snapshot_ttl: Seconds = 3600.0
    snapshot_idle_ttl: Seconds = 86400.0
    snapshot_keys: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    client_publish: bool = False
    client_subscribe: bool = False
    client_anonymous: bool = False
    client_event: Annotated[str, Field(min_length=1, max_length=MAX_NAME)] = CLIENT_EVENT
    publish_rate: Annotated[float, Field(gt=0)] = 50.0
    publish_burst: Annotated[int, Field(ge=1)] = 100
    presence: bool = False
    inbox: bool = False
    schema_: Annotated[str | None, Field(alias="schema")] = None
    mask: tuple[Annotated[str, Field(pattern=PATH)], ...] = ()
    mask_how: Literal["drop", "hash"] = "drop"

    @model_validator(mode="after")
    def _check(self) -> "Namespace":
        if self.stored and self.meta_ttl < self.history_ttl:
            raise ValueError("meta_ttl must be at least history_ttl: a numbering outlives its events")
        if self.mode is Mode.STATE and self.meta_ttl < max(self.snapshot_ttl, self.snapshot_idle_ttl):
            raise ValueError("meta_ttl must be at least snapshot_ttl and snapshot_idle_ttl")
        if not self.client_event.isprintable() or self.client_event.startswith("hub."):
            raise ValueError("client_event must be printable characters, and not begin with hub.")
        if self.inbox and not self.stored:
            raise ValueError("an inbox needs stored events: mode log or state")
        return self

    @property
    def stored(self) -> bool:
        """Whether events have offsets and a history."""
        return self.mode is not Mode.EPHEMERAL

    @property
    def conflates(self) -> bool:
        """Whether a newer event of a key may take the place of a queued one."""
        return self.mode is not Mode.LOG


_RESERVED_RULES = Namespace(mode=Mode.EPHEMERAL)

SHIPPED: dict[str, dict[str, Any]] = {
    "job": {"mode": "state", "history_ttl": 86400.0},
    "doc": {"mode": "log", "client_publish": True, "presence": True},
    "cursor": {"mode": "ephemeral", "client_publish": True},
    "user": {"mode": "log", "inbox": True, "history_ttl": 86400.0},
    "system": {"mode": "log"},
}


class Namespaces:
    """The table of namespaces of a hub: name to `Namespace`."""

    def __init__(self, table: Mapping[str, Namespace]) -> None:
        self._table = dict(table)

    def of(self, channel: str) -> Namespace:
        """The namespace of a channel.

        Raises:
            HubError: ``bad_channel`` or ``unknown_namespace``.
        """
        name = namespace_of(channel)
        namespace = _RESERVED_RULES if name == RESERVED else self._table.get(name)
        if namespace is None:
            known = ", ".join(sorted(self._table))
            raise HubError(ErrorCode.UNKNOWN_NAMESPACE, f"no namespace {name} here; known are {known}")
        return namespace

    @property
    def with_masks(self) -> frozenset[str]:
        """The names of those that have a `mask`."""
        return frozenset(name for name, namespace in self._table.items() if namespace.mask)

    def shown(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """An event's or a publication's fields as others than subscribers see them: without what its namespace's
        `mask` names. The same object where it names nothing; the channel need not be a good one."""
        namespace = self._table.get(str(event.get("channel")).partition(":")[0])
        if namespace is None or not namespace.mask:
            return event
        document: dict[str, Any] = masked(
            orjson.loads(orjson.dumps(event)), namespace.mask, namespace.mask_how
        )
        return document

    def items(self) -> list[tuple[str, Namespace]]:
        """All namespaces, by name."""
        return sorted(self._table.items())

    @classmethod
    def shipped(cls) -> "Namespaces":
        """The namespaces that the hub has without any setting."""
        return cls({name: Namespace.model_validate(rules) for name, rules in SHIPPED.items()})

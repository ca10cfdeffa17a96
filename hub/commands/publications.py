"""Publications at the edge: what is checked before the broker sees one, the same for sockets and HTTP."""

from collections.abc import Callable
from typing import Any

from ..auth.identity import Identity
from ..broker.base import Published
from ..namespaces import Mode, Namespaces
from ..protocol import replies
from ..protocol.codec import loads_json
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..protocol.event import Publication
from ..protocol.publications import Publish

Check = Callable[[Any], object]


class PublicationChecks:
    """Checks rights, sizes and payload schemas; makes `Publication`s."""

    def __init__(self, namespaces: Namespaces, message_bytes: int) -> None:
        self._namespaces = namespaces
        self._message_bytes = message_bytes
        self._schemas: dict[str, Check] = {
            name: compile_schema(namespace.schema_)
            for name, namespace in namespaces.items()
            if namespace.schema_ is not None
        }

    def publication(
        self, command: Publish, identity: Identity, origin: str | None, *, allowed: bool | None = None
    ) -> Publication:
        """The publication that `identity` asks for; `origin` is the publishing connection. `allowed`: whether it
        has the right to, where more than its own grants count.

        Raises:
            HubError: why it may not be published.
        """
        namespace = self._namespaces.of(command.channel)
        if not identity.service and not namespace.client_publish:
            name = command.channel.partition(":")[0]
            raise _forbidden(f"only services publish in the namespace {name}")
        if not (identity.may_publish(command.channel) if allowed is None else allowed):
            raise _forbidden(f"no grant of this token allows publish on {command.channel}")
        if not identity.service:
            _check_for_services(command)
        if command.source is not None and not namespace.stored:
            raise _bad("source needs a channel whose events are stored: its position is kept with them")
        if command.lease_ms is not None or command.version is not None:
            if namespace.mode is not Mode.STATE:
                raise _bad("version and lease_ms need a channel of mode state")
            if command.key is None:
                raise _bad("version and lease_ms need a key")
        if command.event == "lease_expired":
            raise _bad("the event type lease_expired is the hub's own")
        self.check_payload(command.channel, command.payload)
        return Publication(
            command.channel,
            command.event,
            command.payload,
            identity.name or identity.user,
            event_id=command.event_id,
            key=command.key,
            final=command.final,
            version=command.version,
            lease_ms=command.lease_ms,
            sender=None if identity.service else identity.user,
            origin=origin,
            event_id_ttl_ms=command.event_id_ttl_ms,
            meta=command.meta,
            source=command.source,
        )

    def check_payload(self, channel: str, payload: bytes) -> None:
        """Size and schema.

        Raises:
            HubError: ``too_large`` or ``bad_message``.
        """
        if len(payload) > self._message_bytes:
            raise HubError(
                ErrorCode.TOO_LARGE,
                f"the payload is {len(payload)} bytes of JSON, {self._message_bytes} are allowed",
            )
        check = self._schemas.get(channel.partition(":")[0])
        if check is not None:
            try:
                check(loads_json(payload))
            except ValueError as error:
                raise _bad(f"the payload does not fit the namespace's schema: {str(error)[:200]}") from None


def _check_for_services(command: Publish) -> None:
    if command.lease_ms is not None:
        raise _forbidden("only services give leases")
    if command.source is not None:
        raise _forbidden("only services give a source")
    if command.event_id_ttl_ms is not None:
        raise _forbidden("only services say how long an event_id is remembered (event_id_ttl_ms)")


def compile_schema(path: str) -> Check:
    """A compiled JSON Schema; its errors are ValueErrors that name the place, not the value.

    Raises:
        ValueError: the file can't be used, in words.
    """
    try:
        import fastjsonschema
    except ImportError:
        raise ValueError("a namespace has a schema: install notification-hub[schema]") from None
    try:
        with open(path, "rb") as file:
            check: Check = fastjsonschema.compile(loads_json(file.read()))
    except OSError as error:
        raise ValueError(f"the schema {path} can't be read: {error.strerror}") from None
    except (HubError, ValueError, fastjsonschema.JsonSchemaDefinitionException) as error:
        raise ValueError(f"{path} is no JSON Schema: {error}") from None
    return check


def _forbidden(why: str) -> HubError:
    return HubError(ErrorCode.FORBIDDEN, why)


def _bad(why: str) -> HubError:
    return HubError(ErrorCode.BAD_MESSAGE, why)


def published_fields(command: Publish, published: Published) -> replies.Message:
    """The answer to a publication, without `type` and `id`."""
    return replies.published_fields(
        command.channel,
        published.position,
        published.event_id,
        stale=published.stale,
        duplicate=published.duplicate and command.source is not None,
        warnings=command.warnings,
    )

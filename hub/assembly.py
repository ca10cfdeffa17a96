"""What the settings ask for, part by part: made, or said to be wrong; what they leave out is not imported."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

from .auth.addresses import TrustedProxies
from .auth.from_settings import make_api_keys, make_certificates, make_keys, make_provider
from .auth.keys import Keys
from .auth.origins import Origins
from .auth.signing import Signer
from .broker.base import Broker
from .broker.memory.broker import MemoryBroker
from .commands.handshake import Handshaker
from .http.app import Addition
from .node import Node
from .observe.audit import AuditLog, AuditObserver
from .observe.client_log import ClientLog
from .observe.observers import Observers
from .observe.recorder import FlightRecorder
from .settings import Settings, told, unknown_variables

if TYPE_CHECKING:
    from .broker.redis.access import CredentialProvider, Remap
    from .plugins.plugin import Plugin
    from .tls.files import TlsFiles
    from .tls.server import ServerTls
    from .tracing.base import Tracer
    from .webhooks.start import Webhooks

log = logging.getLogger("hub")

RedisAccess: TypeAlias = "tuple[CredentialProvider | None, Remap | None]"
"""As whom, and where, Redis is reached."""


class BadSettings(ValueError):
    """The settings allow no hub; `problems` says why, in words."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@cache
def warn_of_slips() -> None:
    """Variables that are no settings are logged, once a process."""
    for text in unknown_variables():
        log.warning("%s", text)


def problems(settings: Settings) -> list[str]:
    """What is wrong with the settings, in words: a hub with such settings does not start."""
    found = []
    plugins: Sequence[Plugin] = ()
    try:
        plugins = load_plugins(settings)
        more_keys = keys_of(plugins, settings)
    except ValueError as error:
        found, more_keys = str(error).splitlines(), ()
    parts = (
        make_keys(settings, more_keys),
        make_provider(settings),
        make_api_keys(settings),
        make_certificates(settings),
        Origins(settings.allowed_origins, not settings.require_origin),
        TrustedProxies(settings.trusted_proxies),
    )
    found += [problem for part in parts for problem in part.problems()]
    if settings.centrifugo_tokens and not settings.centrifugo:
        found.append("HUB_CENTRIFUGO_TOKENS is for the SDKs of Centrifugo: HUB_CENTRIFUGO=true lets them in")
    if settings.centrifugo_anonymous and not settings.centrifugo_tokens:
        found.append("HUB_CENTRIFUGO_ANONYMOUS goes with Centrifugo's own tokens: HUB_CENTRIFUGO_TOKENS=true")
    for check in (make_intake, make_tls_files, _check_proxies, _check_webhooks):
        try:
            check(settings)
        except ValueError as error:
            found += str(error).splitlines()
    if settings.broker != "memory://" and not (settings.node_secret or settings.jwt_secret):
        found.append(
            "HUB_NODE_SECRET is missing: nodes over Redis sign for each other, one over SQLite for itself when it "
            "is started anew, and there is no other secret"
        )
    return found


def make_tls(settings: Settings) -> "ServerTls | None":
    """The TLS of the hub's own port, where it has one; nothing is imported for it else.

    Raises:
        BadSettings: what is wrong with its settings or files.
    """
    try:
        files = make_tls_files(settings)
        if files is None:
            return None
        from .tls.server import ServerTls

        return ServerTls(files)
    except ValueError as error:
        raise BadSettings([str(error)]) from None


def make_tls_files(settings: Settings) -> "TlsFiles | None":
    """The files of it, which can be used now.

    Raises:
        ValueError: what is wrong with them.
    """
    if settings.tls_clients and settings.tls_client_ca is None and settings.tls_client_header is None:
        raise ValueError(
            "HUB_TLS_CLIENTS needs HUB_TLS_CLIENT_CA, or HUB_TLS_CLIENT_HEADER where a proxy looks at certificates"
        )
    if settings.tls_client_header is not None and not settings.trusted_proxies:
        raise ValueError("HUB_TLS_CLIENT_HEADER needs HUB_TRUSTED_PROXIES: of nobody else the header counts")
    if settings.tls_cert is None:
        if settings.tls_key is not None or settings.tls_client_ca is not None:
            raise ValueError("HUB_TLS_KEY and HUB_TLS_CLIENT_CA need HUB_TLS_CERT")
        return None
    from .tls.files import TlsFiles

    files = TlsFiles(
        settings.tls_cert, settings.tls_key, settings.tls_client_ca, required=settings.tls_client_required
    )
    files.load()
    return files


def _check_proxies(settings: Settings) -> None:
    if settings.proxies:
        from .proxies.settings import read

        read(settings)


def _check_webhooks(settings: Settings) -> None:
    if settings.webhooks:
        from .outgoing.addresses import Guard
        from .webhooks.settings import read

        read(settings)
        try:
            Guard(settings.webhook_allow)
        except ValueError as error:
            raise ValueError(f"webhook_allow: {error}") from None


def load_plugins(settings: Settings) -> "Sequence[Plugin]":
    """The plugins that the settings name; nothing of them is imported where they name none.

    Raises:
        ValueError: a line for each that can't be used.
    """
    if not settings.plugins:
        return ()
    from .plugins.loading import load

    return load(settings.plugins)


def keys_of(plugins: "Sequence[Plugin]", settings: Settings) -> Sequence[Keys]:
    """The sources of keys that plugins bring.

    Raises:
        ValueError: one of them failed, in words.
    """
    found: list[Keys] = []
    for plugin in plugins:
        try:
            found += plugin.keys(settings)
        except Exception as error:  # whatever foreign code does; its words may quote what it read
            raise ValueError(
                f"HUB_PLUGINS: the keys of {type(plugin).__qualname__}: {type(error).__name__}"
            ) from error
    return found


def make_intake(settings: Settings) -> Sequence[Addition]:
    """The routes of webhooks, CloudEvents and Dapr; nothing of them is imported where no setting names any.

    Raises:
        ValueError: a line for each setting that is wrong.
    """
    if not settings.hooks and settings.cloudevents is None and settings.dapr is None:
        return ()
    try:
        from .intake.routes import additions
    except ModuleNotFoundError as error:
        raise ValueError(f"{error.name} is missing: pip install 'notification-hub[bridge]'") from None
    return additions(settings)


def make_console(settings: Settings) -> Sequence[Addition]:
    """The routes of the console, unless a setting leaves them out."""
    if not settings.console:
        return ()
    from .console.routes import additions

    return additions(settings)


def waiting_for_events(settings: Settings) -> Mapping[str, Sequence[str]]:
    """Endpoints of webhooks, with the channels whose events they wait for."""
    if not settings.webhooks:
        return {}
    from .webhooks.settings import read

    return {each.name: each.channels for each in read(settings) if each.waits_for_events}


def make_webhook_routes(webhooks: "Webhooks | None") -> Sequence[Addition]:
    """The routes for who runs webhooks, where there are any."""
    if webhooks is None:
        return ()
    from .webhooks.routes import additions

    return additions(webhooks)


def make_audit(settings: Settings, node_id: str) -> AuditLog | None:
    """The audit log, where one is asked for.

    Raises:
        BadSettings: its file can't be opened.
    """
    if settings.audit is None:
        return None
    audit = AuditLog(node_id, settings.audit)
    try:
        audit.start(told(settings))
    except OSError as error:
        raise BadSettings([f"HUB_AUDIT: {error.strerror}: {settings.audit}"]) from None
    return audit


def make_tracer(settings: Settings, node_id: str) -> "Tracer | None":
    """Traces, where they are asked for; nothing of OpenTelemetry is imported else.

    Raises:
        BadSettings: it is not installed.
    """
    if not settings.otel:
        return None
    from .tracing.start import NotInstalled, make

    try:
        return make(node_id, settings.otel_ratio)
    except NotInstalled as error:
        raise BadSettings([str(error)]) from None


def make_centrifugo(
    settings: Settings, node: Node, keys: Keys, handshaker: Handshaker, secret: str
) -> Sequence[Addition]:
    """Let Centrifugo's SDKs in, and its libraries on services; nothing of it is imported where that is off.
    `secret` is what nodes sign for each other with."""
    if not settings.centrifugo:
        return ()
    from .centrifugo.api import routes as api
    from .centrifugo.api.nodes import NodeInfo
    from .centrifugo.handshake import open_door
    from .centrifugo.sessions import Sessions
    from .centrifugo.streams import routes as streams
    from .centrifugo.terms import make_terms

    terms = make_terms(settings, node, keys)
    open_door(handshaker, terms)
    NodeInfo(node.id, node.connections, node.channels, node.now).answer(node.cluster)
    sessions = Sessions(node.id, Signer(secret, "centrifugo session"), node.connections, node.cluster)
    return [*api.additions(terms.names), *streams.additions(terms, sessions)]


def make_observers(settings: Settings, node_id: str, audit: AuditLog | None = None) -> Observers:
    """Who is told of what happens to clients."""
    now = asyncio.get_running_loop().time
    recorder = FlightRecorder(node_id, now, time.time, settings.recorder_bytes)
    more = () if audit is None else (AuditObserver(audit),)
    return Observers(ClientLog(now), recorder, *more)


def make_broker(
    settings: Settings,
    node_id: str,
    credentials: "CredentialProvider | None" = None,
    address_remap: "Remap | None" = None,
    *,
    visitor: bool = False,
    wall: Callable[[], float] = time.time,
    through_hub: Collection[str] = (),
    webhooks: Mapping[str, Sequence[str]] | None = None,
) -> Broker:
    """The broker that the setting names; for a `visitor` one that changes nothing. `wall` is Unix seconds.
    `through_hub` are namespaces into which nobody may write past the nodes; `webhooks` are endpoints
    with the channels whose events they wait for.

    Raises:
        BadSettings: the setting, or one beside it, can't be used.
    """
    if settings.broker == "memory://":
        return MemoryBroker(settings.table, clock=wall)
    if settings.broker.startswith("sqlite:"):
        return _sqlite(settings)
    from .broker.redis import access
    from .broker.redis.broker import RedisBroker

    name = "HUB_REDIS_CREDENTIALS"
    try:
        if credentials is None and settings.redis_credentials:
            credentials = access.credentials_of(settings.redis_credentials)
        name = "HUB_REDIS_ADDRESS_REMAP"
        if address_remap is None and settings.redis_address_remap:
            address_remap = access.remap_of(settings.redis_address_remap)
        name = "HUB_BROKER"
        return RedisBroker(
            settings.broker,
            settings.table,
            node_id=node_id,
            prefix=settings.prefix,
            visitor=visitor,
            credentials=credentials,
            address_remap=address_remap,
            through_hub=through_hub,
            webhooks=webhooks,
        )
    except ValueError as error:
        raise BadSettings([f"{name}: {error}"]) from None


def _sqlite(settings: Settings) -> Broker:
    from .broker.sqlite.broker import SqliteBroker

    try:
        return SqliteBroker(settings.broker, settings.table)
    except ValueError as error:
        raise BadSettings([f"HUB_BROKER: {error}"]) from None


def file_problems(settings: Settings, *, starting: bool = False) -> list[str]:
    """What is wrong with the file of a hub that keeps one. `starting`: somebody else must not have it either."""
    if not settings.broker.startswith("sqlite:"):
        return []
    from .broker.sqlite.broker import parse
    from .broker.sqlite.file import look
    from .broker.sqlite.mark import MarkFile, Unusable

    path, _ = parse(settings.broker)
    try:
        look(path)
        if starting:
            MarkFile(path).close(sync=False)
    except Unusable as error:
        return [f"HUB_BROKER: {error}"]
    return []


def node_secret(settings: Settings) -> str:
    """What nodes sign for each other with: their own secret, else the tokens'; one made up where there is
    neither, which other nodes do not share."""
    for secret in (settings.node_secret, settings.jwt_secret):
        if secret is not None:
            return secret.get_secret_value()
    return secrets.token_urlsafe(32)

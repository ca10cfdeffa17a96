"""What is wrong with settings before anything is served, and what is only worth knowing; in words."""

import secrets

from pydantic import ValidationError

from .. import assembly
from ..auth.dead_patterns import why_dead
from ..auth.from_settings import by_roles, make_keys
from ..commands.publications import compile_schema
from ..settings import ApiKeyRules, RoleRules, ServiceRules, Settings

HOW_TO_SET_A_KEY = (
    "there is no key to check tokens with: set HUB_JWT_SECRET "
    "(export HUB_JWT_SECRET=$(python3 -c 'import secrets; print(secrets.token_urlsafe(32))')), "
    "HUB_JWT_PUBLIC_KEY, HUB_JWKS_URL or HUB_OIDC_ISSUER; or try hub serve --dev, which makes one up"
)


def problems(settings: Settings, *, starting: bool = False) -> list[str]:
    """Why a hub with these settings must not serve; empty where it may. `starting`: it is about to, so nobody
    else may have its file."""
    return [
        *_keys(settings),
        *_broker(settings, starting=starting),
        *_limits(settings),
        *_schemas(settings),
        *_bridges(settings),
    ]


def remarks(settings: Settings) -> list[str]:
    """What a person who runs this hub should know; nothing of it is wrong by itself."""
    found = []
    if not settings.api_keys and not settings.tls_clients:
        found.append("HUB_API_KEYS is empty: only tokens with hub.service:true speak for a backend")
    plain = [name for name, entry in settings.api_keys.items() if not isinstance(entry, ApiKeyRules)]
    if plain:
        found.append(
            f"HUB_API_KEYS: {', '.join(plain)} may publish and read everything, and is no admin; "
            '{"key":"…","publish":["job:*"]} binds a key, and "admin":"read" or "write" makes it one'
        )
    if by_roles(settings) and not settings.roles and not settings.claim_hub:
        found.append(
            "HUB_ROLES is empty: a provider's tokens let people in, and grant no channel but their own"
        )
    found += _dead_patterns(settings)
    if not settings.allowed_origins:
        found.append("HUB_ALLOWED_ORIGINS is empty: browsers connect from pages of the hub's own host only")
    elif "*" in settings.allowed_origins:
        found.append(
            "HUB_ALLOWED_ORIGINS holds *: any page that has a token may connect and use the HTTP API"
        )
    if settings.broker == "memory://":
        found.append("HUB_BROKER is memory://: one process, and events are gone when it ends")
    elif settings.node_secret is None and not settings.broker.startswith("sqlite:"):
        found.append("HUB_NODE_SECRET is not set: nodes sign for each other with HUB_JWT_SECRET")
    if settings.max_connections > settings.connection_limit:
        found.append(
            f"HUB_MAX_CONNECTIONS is {settings.max_connections}, but the process may open "
            f"{settings.connection_limit} (ulimit -n)"
        )
    return found


def _dead_patterns(settings: Settings) -> list[str]:
    """Patterns of API keys and roles that give nobody anything."""
    keys = [("HUB_API_KEYS", name, rules) for name, rules in settings.api_keys.items()]
    certified = [("HUB_TLS_CLIENTS", name, rules) for name, rules in settings.tls_clients.items()]
    roles = [("HUB_ROLES", name, rules) for name, rules in settings.roles.items()]
    return [
        f"{variable}: {name}: {pattern} matches no channel: {why}"
        for variable, name, rules in (*keys, *certified, *roles)
        if isinstance(rules, ServiceRules | RoleRules)
        for pattern in (*rules.subscribe, *rules.publish, *rules.presence)
        if (why := why_dead(pattern, settings.table)) is not None
    ]


def has_key(settings: Settings) -> bool:
    """Whether there is any key, good or not, to check tokens with."""
    if settings.jwt_secret or settings.jwt_public_key or settings.jwks_url or settings.oidc_issuer:
        return True
    if not settings.plugins:
        return False
    from ..plugins.loading import brings_keys

    return brings_keys(settings.plugins)


def _keys(settings: Settings) -> list[str]:
    if has_key(settings):
        return assembly.problems(settings)
    nameless = make_keys(settings).problems()
    return [HOW_TO_SET_A_KEY, *(text for text in assembly.problems(settings) if text not in nameless)]


def _broker(settings: Settings, *, starting: bool) -> list[str]:
    scheme = settings.broker.partition(":")[0]
    if scheme in ("memory", "sqlite") and settings.workers > 1:
        return [
            f"--workers {settings.workers} needs redis:// (HUB_BROKER): with {scheme}:// each process would be "
            "a hub of its own, and what is published to one would not reach the subscribers of another"
        ]
    try:
        assembly.make_broker(settings, f"n_{secrets.token_hex(4)}")
    except assembly.BadSettings as error:
        return error.problems
    return assembly.file_problems(settings, starting=starting)


def _limits(settings: Settings) -> list[str]:
    found = []
    if settings.reconnect_min_ms > settings.reconnect_max_ms:
        found.append("HUB_RECONNECT_MIN_MS is above HUB_RECONNECT_MAX_MS")
    if settings.message_bytes > settings.frame_bytes:
        found.append("HUB_MESSAGE_BYTES is above HUB_FRAME_BYTES: such an event could not be delivered")
    if settings.max_token_life > settings.revocation_ttl:
        found.append(
            "HUB_REVOCATION_TTL is below HUB_MAX_TOKEN_LIFE: a revoked token would be good again before it ends"
        )
    if settings.node_secret is not None and len(settings.node_secret.get_secret_value()) < 32:
        found.append("HUB_NODE_SECRET is too short; it needs 32 characters or more, from a random source")
    return found


def _schemas(settings: Settings) -> list[str]:
    found = []
    for name, namespace in settings.table.items():
        try:
            if namespace.schema_ is not None:
                compile_schema(namespace.schema_)
        except ValueError as error:
            found.append(f"namespace {name}: {error}")
    return found


def _bridges(settings: Settings) -> list[str]:
    """What is wrong with the mappings of bridges, and which library is missing; nothing is connected to."""
    if not settings.bridges:
        return []
    try:
        from ..bridge.mapping import Mapper
        from ..bridge.process import NotInstalled, maker
        from ..bridge.settings import bridges
        from ..bridge.templates import BadTemplate
        from .bridge import in_words
    except ModuleNotFoundError as error:
        return [f"bridges: {error.name} is missing: pip install 'notification-hub[bridge]'"]
    try:
        found = bridges(settings.bridges)
    except ValidationError as error:
        return [in_words(each) for each in error.errors(include_input=False)]
    except ValueError as error:
        return [f"bridges: {error}"]
    wrong = []
    for each in found:
        try:
            Mapper(each)
            maker(each)
        except (BadTemplate, NotInstalled) as error:
            wrong.append(f"bridge {each.name}: {error}")
    return wrong

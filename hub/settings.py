"""Every setting with its default, once: `HUB_*` in the environment, or ``hub.toml``."""

import difflib
import os
import re
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from .namespaces import SHIPPED, Namespace, Namespaces
from .protocol.channels import RESERVED

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]

OTHER_VARIABLES = ("HUB_CONFIG", "HUB_URL", "HUB_TOKEN", "HUB_API_KEY", "HUB_CA", "HUB_CERT", "HUB_CERT_KEY")
"""Variables that are no settings: where these are, and what commands read that talk to a running hub."""

# What Kubernetes sets in every pod for a Service that is named "hub".
_SERVICE_LINK = re.compile(r"HUB_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP)(_\w+)?)\Z")


class ServiceRules(BaseModel):
    """A service that may do what it names and nothing else, and so often where it says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subscribe: list[str] = Field(default_factory=list)
    publish: list[str] = Field(default_factory=list)
    presence: list[str] = Field(default_factory=list)
    admin: Literal["read", "write"] | None = None
    rate: Annotated[float, Field(gt=0)] | None = (
        None  # requests a second over HTTP; None: as many as it likes
    )
    burst: Annotated[int, Field(ge=1)] | None = None  # of them at once


class ApiKeyRules(ServiceRules):
    """One by its API key."""

    key: SecretStr


class TlsClientRules(ServiceRules):
    """One by its certificate: a name of its subjectAltName (``DNS:worker.example``), or its whole subject
    (``CN=worker,O=Example``)."""

    san: str | None = None
    subject: str | None = None


class RoleRules(BaseModel):
    """What a role of an identity provider grants; `{claim}` in a pattern stands for what the token says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subscribe: list[str] = Field(default_factory=list)
    publish: list[str] = Field(default_factory=list)
    presence: list[str] = Field(default_factory=list)
    channels: list[str] = Field(default_factory=list)
    service: bool = False
    admin: Literal["read", "write"] | None = None


class Settings(BaseSettings):
    """The hub's settings. Times are seconds unless the name ends in ``_ms``; sizes are bytes.

    Lists and tables are JSON in the environment (``HUB_ALLOWED_ORIGINS='["https://example.com"]'``).
    The environment wins over ``hub.toml`` in the working directory, or the file that ``HUB_CONFIG`` names.
    """

    model_config = SettingsConfigDict(
        env_prefix="HUB_",
        env_ignore_empty=True,  # ``HUB_X=`` of a compose file or a shell means: not set
        extra="forbid",
        populate_by_name=True,
        nested_model_default_partial_update=True,
    )

    def __init__(self, **values: Any) -> None:
        """Plain values, as in ``hub.toml``: a secret is a string, a namespace or a key's rules a dict.

        Raises:
            pydantic.ValidationError: (a ValueError) one does not fit, or there is no such setting.
            FileNotFoundError: ``HUB_CONFIG`` names a file that is not there.
        """
        super().__init__(**values)

    # where
    host: str = "127.0.0.1"  # several are separated by commas
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    workers: Count = 1
    path: Annotated[str, Field(pattern=r"^/[!-~]*$")] = "/ws"
    broker: str = "memory://"
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = "hub"
    redis_credentials: str | None = None
    redis_address_remap: str | None = None

    # TLS without a proxy: `tls` reads and checks the files
    tls_cert: str | None = None
    tls_key: str | None = None  # None: it stands in the file of the certificate
    tls_client_ca: str | None = None
    tls_client_required: bool = False
    tls_client_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] | None = None
    tls_clients: dict[str, TlsClientRules] = Field(default_factory=dict)

    # who: keys of tokens and services
    jwt_secret: SecretStr | None = None
    jwt_previous_secret: SecretStr | None = None
    jwt_public_key: str | None = None
    jwt_previous_public_key: str | None = None
    jwt_algorithms: list[str] | None = None
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwks_url: str | None = None
    oidc_issuer: str | None = None
    oidc_clients: list[str] = Field(default_factory=list)
    claim_user: str = "sub"
    claim_roles: str | None = None
    claim_hub: bool = False
    roles: dict[str, RoleRules] = Field(default_factory=dict)
    api_keys: dict[str, SecretStr | ApiKeyRules] = Field(default_factory=dict)
    node_secret: SecretStr | None = None
    query_token: bool = True
    allowed_origins: list[str] = Field(default_factory=list)
    require_origin: bool = False
    centrifugo: bool = False
    centrifugo_tokens: bool = False
    centrifugo_default_namespace: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")] = "plain"
    centrifugo_personal: bool = False
    centrifugo_anonymous: bool = False
    trusted_proxies: list[str] = Field(default_factory=list)

    # a connection
    heartbeat_ms: Annotated[int, Field(ge=400, le=600_000)] = (
        25_000  # less would be as fine as the wheel's ticks
    )
    auth_timeout: Positive = 10.0
    close_timeout: Positive = 5.0
    message_bytes: Annotated[int, Field(ge=1024)] = 65_536
    frame_bytes: Annotated[int, Field(ge=4096)] = 524_288
    outbox_bytes: Annotated[int, Field(ge=4096)] = 1_048_576
    write_buffer_bytes: Annotated[int, Field(ge=1024)] = 65_536
    unsent_bytes: Annotated[int, Field(ge=4096)] = 131_072
    max_channels: Count = 128
    max_pending_commands: Count = 64
    command_rate: Positive = 100.0
    command_burst: Count = 400
    service_command_rate: Positive = 10_000.0
    service_command_burst: Count = 20_000
    user_command_rate: Positive = 200.0
    user_command_burst: Count = 4_000
    reconnect_min_ms: Count = 500
    reconnect_max_ms: Count = 20_000
    resume_ttl: Positive = 86_400.0
    max_token_life: Annotated[float, Field(ge=0)] = 0.0  # 0: as long as its issuer says
    revocation_ttl: Positive = 30 * 86_400.0  # longer than any token lives

    # a node
    max_connections: int = 0  # 0: as many as the process has file descriptors for, less 512
    max_connections_per_user: Count = 200
    max_connections_per_address: Count = 20_000
    max_http_connections_per_address: Count = 1000  # that are no WebSockets; of IPv6, of a /64
    http_keep_alive: Positive = 75.0
    max_connection_age: float = 0.0  # 0: for ever
    accept_rate: Positive = 1_000.0
    drain_notice: Annotated[float, Field(ge=0)] = 5.0
    drain_seconds: Annotated[float, Field(ge=0)] = 30.0
    recovery_limit: Count = 1000
    tail_bytes: Annotated[int, Field(ge=0)] = 67_108_864
    snapshot_bytes: Annotated[int, Field(ge=65_536)] = 33_554_432
    channel_linger: Annotated[float, Field(ge=0)] = 5.0
    position_check: Positive = 30.0
    presence_grace: Annotated[float, Field(ge=0)] = 15.0
    presence_batch: Positive = 0.2
    max_body_bytes: Annotated[int, Field(ge=1024)] = 8_388_608
    ready_requires_all_shards: bool = False
    metrics_public: bool = True

    # how others find it
    consul: Annotated[str, Field(pattern=r"^https?://[^\s@]+$")] | None = None
    consul_token: SecretStr | None = None
    consul_service: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,63}$")] = "notification-hub"
    consul_address: str | None = None
    consul_tags: list[str] = Field(default_factory=list)

    # handlers of the program around it
    handler_timeout: Positive = 1.0
    handler_threads: Annotated[int, Field(ge=1, le=1000)] = 32
    handler_calls: Count = 1000

    # what installed packages bring: `plugins` finds and checks them
    plugins: list[str] = Field(default_factory=list)

    # the application over HTTP: `proxies` and `webhooks` read and check them
    proxies: list[dict[str, Any]] = Field(default_factory=list, repr=False)
    webhooks: list[dict[str, Any]] = Field(default_factory=list, repr=False)
    webhook_allow: list[str] = Field(default_factory=list)
    webhook_waiting: Count = 100_000

    # bridges: `hub bridge` reads and checks them
    bridges: list[dict[str, Any]] = Field(default_factory=list)

    # what others push: `intake` reads and checks them
    hooks: list[dict[str, Any]] = Field(default_factory=list, repr=False)
    cloudevents: dict[str, Any] | None = None
    dapr: dict[str, Any] | None = Field(default=None, repr=False)

    # what it says of itself
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"
    recorder_bytes: Annotated[int, Field(ge=0)] = 16_777_216
    audit: str | None = None
    otel: bool = False
    otel_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    console: bool = True
    console_mint: bool = False

    # channels
    namespaces: dict[str, Namespace] = Field(default_factory=dict)

    @field_validator("namespaces", mode="before")
    @classmethod
    def _over_shipped(cls, value: Any) -> Any:
        """The shipped namespaces stand unless a setting of the same name changes some of their rules."""
        if not isinstance(value, dict):
            return value
        if RESERVED in value:
            raise ValueError(f"the namespace {RESERVED} is the hub's own, and has no rules to be set")
        table: dict[str, Any] = {name: dict(rules) for name, rules in SHIPPED.items()}
        for name, rules in value.items():
            rules = rules.model_dump(by_alias=True) if isinstance(rules, Namespace) else rules
            table[name] = {**table.get(name, {}), **rules} if isinstance(rules, dict) else rules
        return table

    @property
    def table(self) -> Namespaces:
        """The namespaces, shipped and own."""
        return Namespaces(self.namespaces) if self.namespaces else Namespaces.shipped()

    @property
    def service_keys(self) -> list[str]:
        """The API keys, in their order."""
        keys = (each.key if isinstance(each, ApiKeyRules) else each for each in self.api_keys.values())
        return [key.get_secret_value() for key in keys]

    @property
    def service_key(self) -> str | None:
        """The first of the API keys."""
        return next(iter(self.service_keys), None)

    @property
    def hosts(self) -> list[str]:
        """The addresses to listen on."""
        return [host.strip() for host in self.host.split(",") if host.strip()] or ["127.0.0.1"]

    @property
    def connection_limit(self) -> int:
        """Connections that this process takes: `max_connections`, else by `RLIMIT_NOFILE` less 512."""
        by_descriptors = max(64, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 512)
        return min(self.max_connections, by_descriptors) if self.max_connections else by_descriptors

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then ``hub.toml``."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, config_file())


_NAMES_ONLY = ("api_keys", "hooks", "bridges", "dapr", "cloudevents")
_ADDRESS = re.compile(r"(?<=://)[^/@\s]*@")


def told(settings: Settings) -> dict[str, Any]:
    """Those that differ from the defaults, without what is secret: of keys, hooks and bridges the names only, of
    addresses no user and no password."""
    found: dict[str, Any] = {}
    for name in sorted(settings.model_fields_set):
        value = getattr(settings, name)
        if value == type(settings).model_fields[name].default:
            continue
        if isinstance(value, SecretStr):
            found[name] = "set"
        elif name in _NAMES_ONLY:
            found[name] = sorted(value) if isinstance(value, dict) else len(value or ())
        elif name == "namespaces":
            found[name] = {
                each: rules.model_dump(exclude_defaults=True, mode="json") for each, rules in value.items()
            }
        elif isinstance(value, str):
            found[name] = _ADDRESS.sub("", value)
        else:
            found[name] = settings.model_dump(include={name}, mode="json")[name]
    return found


def config_file() -> Path:
    """The file of settings: ``HUB_CONFIG``, else ``hub.toml`` in the working directory, which need not be there.

    Raises:
        FileNotFoundError: one was named and is not there.
    """
    named = os.environ.get("HUB_CONFIG")
    path = Path(named or "hub.toml")
    if named and not path.exists():
        raise FileNotFoundError(f"there is no file {named} (HUB_CONFIG, or --config)")
    return path


def unknown_variables(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Variables that look like settings and are none, in words: a slip in a name is silent otherwise."""
    known = [f"HUB_{name.upper()}" for name in Settings.model_fields]
    found = []
    for name in sorted(environment):
        upper = name.upper()
        if not upper.startswith("HUB_") or upper in (*known, *OTHER_VARIABLES) or _SERVICE_LINK.match(upper):
            continue
        near = difflib.get_close_matches(upper, known, n=1, cutoff=0.8)
        found.append(f"{name} is no setting" + (f"; did you mean {near[0]}?" if near else ""))
    return found

"""From settings to what checks tokens and keys."""

import math
from collections.abc import Sequence

from pydantic import SecretStr

from ..settings import ApiKeyRules, RoleRules, ServiceRules, Settings
from .api_keys import ApiKey, ApiKeys
from .certificates import Certificates, NoCertificates
from .identity import Level
from .keyring import KeyRing
from .keys import ALGORITHMS, Keys, StaticKeys
from .provider import ProviderTokens
from .roles import VERBS, Role, Roles
from .tokens import REMEMBERED, Authenticator, Provider


def make_keys(settings: Settings, more: Sequence[Keys] = ()) -> Keys:
    """Where tokens' keys come from; `more` are sources that no setting names."""
    sources: list[Keys] = [*more]
    if settings.jwt_secret or settings.jwt_public_key:
        secret, previous = settings.jwt_secret, settings.jwt_previous_secret
        sources.append(
            StaticKeys(
                secret=secret.get_secret_value() if secret else None,
                previous_secret=previous.get_secret_value() if previous else None,
                public_key=settings.jwt_public_key,
                previous_public_key=settings.jwt_previous_public_key,
                algorithms=settings.jwt_algorithms,
                complete=settings.jwks_url is None and settings.oidc_issuer is None,
            )
        )
    if settings.jwks_url:
        # An HTTP client is a fifth of what a hub imports; most hubs fetch nothing.
        from .jwks import JwksKeys

        sources.append(JwksKeys(settings.jwks_url, algorithms=settings.jwt_algorithms))
    if settings.oidc_issuer:
        from .oidc import OidcKeys

        sources.append(OidcKeys(settings.oidc_issuer, algorithms=settings.jwt_algorithms))
    return KeyRing(sources)


def make_authenticator(
    settings: Settings, keys: Keys, provider: Provider | None = None, *, remembered: int = REMEMBERED
) -> Authenticator:
    """What checks tokens. Which algorithms a key allows, the keys know; the settings may allow fewer. `provider`
    reads them instead of what the settings say."""
    algorithms = settings.jwt_algorithms or ALGORITHMS
    if provider is None and by_roles(settings):
        provider = make_provider(settings)
    return Authenticator(
        keys,
        algorithms,
        settings.jwt_issuer,
        settings.jwt_audience,
        remembered=remembered,
        provider=provider,
        max_life=settings.max_token_life or math.inf,
    )


def by_roles(settings: Settings) -> bool:
    """Whether tokens are read by roles: those of a discovered provider, or all where none is."""
    return bool(settings.oidc_issuer or settings.claim_roles or settings.roles)


def make_provider(settings: Settings) -> ProviderTokens:
    """How an identity provider's tokens are read."""
    table = {name: _role(rules) for name, rules in settings.roles.items()}
    roles = Roles(settings.claim_roles, table, user=settings.claim_user, hub=settings.claim_hub)
    return ProviderTokens(
        roles,
        discovered=settings.oidc_issuer is not None,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        clients=settings.oidc_clients,
    )


def _role(rules: RoleRules) -> Role:
    named = {verb: getattr(rules, verb) for verb in VERBS}
    return Role(named, rules.service, _level(rules.admin))


def _level(name: str | None) -> Level:
    return Level[name.upper()] if name else Level.NONE


def make_api_keys(settings: Settings) -> ApiKeys:
    """The services' keys."""
    return ApiKeys({name: _api_key(entry) for name, entry in settings.api_keys.items()})


def _api_key(entry: SecretStr | ApiKeyRules) -> ApiKey:
    if isinstance(entry, SecretStr):
        return ApiKey(entry.get_secret_value())
    return ApiKey(entry.key.get_secret_value(), _named(entry), _level(entry.admin), _limit(entry))


def _named(rules: ServiceRules) -> dict[str, list[str]]:
    return {verb: getattr(rules, verb) for verb in VERBS[:3]}


def _limit(rules: ServiceRules) -> tuple[float, float] | None:
    return None if rules.rate is None else (rules.rate, float(rules.burst or max(1.0, rules.rate)))


def make_certificates(settings: Settings) -> Certificates:
    """The services that are known by their certificates; nothing is read of certificates where there are none."""
    if not settings.tls_clients:
        return NoCertificates()
    from .client_certificates import CertifiedService, ClientCertificates

    return ClientCertificates(
        {
            name: CertifiedService(
                rules.san, rules.subject, _named(rules), _level(rules.admin), _limit(rules)
            )
            for name, rules in settings.tls_clients.items()
        },
        settings.tls_client_header,
    )

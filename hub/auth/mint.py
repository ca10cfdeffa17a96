"""Tokens by the hub's own secret: for ``hub token``, for the demo, for who tries things out."""

import secrets
import time
import warnings
from typing import Any

import jwt

from ..settings import Settings
from .from_settings import make_keys


class CanNotSign(Exception):
    """The hub has no secret, or takes no tokens by one; `problems` says why, in words."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def sign(settings: Settings, user: str, hub: dict[str, Any], ttl_s: float, **more: str) -> str:
    """A token by the hub's secret, with the issuer and audience that it asks for. `more` are further claims.

    Raises:
        CanNotSign: and why.
    """
    if settings.jwt_secret is None:
        raise CanNotSign(
            "tokens are signed with HUB_JWT_SECRET, and it is not set"
            + ("; this hub checks the tokens of another issuer" if _foreign(settings) else "")
        )
    allowed = settings.jwt_algorithms or ["HS256"]
    algorithm = next((each for each in allowed if each.startswith("HS")), None)
    if algorithm is None:
        raise CanNotSign("HUB_JWT_ALGORITHMS allows no tokens by a secret (HS256, HS384, HS512)")
    if problems := make_keys(settings).problems():
        raise CanNotSign(*problems)
    now = int(time.time())
    claims: dict[str, Any] = {"sub": user, "iat": now, "exp": now + int(ttl_s), "jti": secrets.token_hex(8)}
    if settings.jwt_issuer is not None:
        claims["iss"] = settings.jwt_issuer
    if settings.jwt_audience is not None:
        claims["aud"] = settings.jwt_audience
    with warnings.catch_warnings():
        # The hub has its own rule of how long a secret has to be, and it was asked above.
        warnings.simplefilter("ignore", jwt.warnings.InsecureKeyLengthWarning)
        return jwt.encode({**claims, **more, "hub": hub}, settings.jwt_secret.get_secret_value(), algorithm)


def _foreign(settings: Settings) -> bool:
    return bool(settings.jwt_public_key or settings.jwks_url or settings.oidc_issuer)

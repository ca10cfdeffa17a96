"""What a host program brings along to reach its Redis: by arguments, or by names in the settings."""

import pkgutil
from typing import Any

from redis.credentials import CredentialProvider

from .client.address import Remap

__all__ = ["CredentialProvider", "Remap", "credentials_of", "remap_of"]


def credentials_of(path: str) -> CredentialProvider:
    """The provider that ``package.module:name`` names: one, or what makes one when it is called.

    Raises:
        ValueError: there is none, in words.
    """
    found = _found(path)
    provider = found if isinstance(found, CredentialProvider) else _called(path, found)
    if not callable(getattr(provider, "get_credentials", None)):
        raise ValueError(f"{path} is no credential provider: it has no get_credentials")
    return provider


def remap_of(path: str) -> Remap:
    """The function that ``package.module:name`` names: (host, port) → (host, port).

    Raises:
        ValueError: there is none, in words.
    """
    found = _found(path)
    if not callable(found):
        raise ValueError(f"{path} is no function")
    return found  # type: ignore[no-any-return]


def _found(path: str) -> Any:
    try:
        return pkgutil.resolve_name(path)
    except Exception as error:  # whatever a foreign module does when it is imported
        raise ValueError(f"{path} can't be imported: {error}") from None


def _called(path: str, found: Any) -> Any:
    if not callable(found):
        raise ValueError(f"{path} is no credential provider")
    try:
        return found()
    except Exception as error:  # its words may quote what it read
        raise ValueError(f"{path}() failed: {type(error).__name__}") from None

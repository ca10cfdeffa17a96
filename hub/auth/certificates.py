"""Services that are known by the certificates of their connections: the interface, and a hub that knows none."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .identity import Identity

BROWSERS = ("origin", "sec-fetch-site")
"""Fields of requests that a browser sends: it shows its certificate for whatever page asks it to, so none
counts."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a request shows: its connection's `own` certificate (PEM), or, of a trusted proxy (`proxied`), what
    stands in the header that the settings name. A proxy's own certificate never speaks for those whose requests
    it brings."""

    own: str | None
    header: str | None
    proxied: bool
    browser: bool


class Certificates(Protocol):
    """Who shows a certificate, by the settings. `header`: the lower-case name of the one of proxies."""

    header: str | None

    def who(self, shown: Shown, now: float) -> Identity | None:
        """The service whose certificate it is, until its end; None where none was shown. `now` is Unix seconds.

        Raises:
            HubError: ``unauthenticated``: it is nobody's. ``token_invalid``, ``token_expired``.
        """

    def limit(self, service: Identity) -> tuple[float, float] | None:
        """Requests a second that a service may make, and at once; None: as many as it likes."""

    def problems(self) -> Sequence[str]:
        """What is wrong with the settings, in words."""


class NoCertificates:
    """A hub whose settings name no such service."""

    header: str | None = None

    def who(self, _shown: Shown, _now: float) -> None:
        """Nobody."""

    def limit(self, _service: Identity) -> None:
        """Nobody has one."""

    def problems(self) -> Sequence[str]:
        """Nothing is wrong."""
        return ()

"""Client certificates (mTLS): how services prove who they are without keys and tokens.

That a certificate is good, the TLS of the hub has seen, or the proxy before it; here it is only asked whose it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..tls.certificate import Certificate, name_of, presented, subject_of
from .api_keys import named_grants, service
from .certificates import Shown
from .identity import Identity, Level
from .refusals import expired, invalid


@dataclass(frozen=True, slots=True)
class CertifiedService:
    """A service's certificate, by one name of its subjectAltName or by its whole subject, and what it may do: as an
    `ApiKey` that names its rights."""

    san: str | None
    subject: str | None
    grants: Mapping[str, Sequence[str]]
    admin: Level = Level.NONE
    limit: tuple[float, float] | None = None


class ClientCertificates:
    """The services that are known by their certificates, by name; `header` is the one in which a trusted proxy
    hands a client's certificate on. Where a certificate is that of two, the first of the settings is meant."""

    def __init__(self, services: Mapping[str, CertifiedService], header: str | None = None) -> None:
        self.header = header.lower() if header is not None else None
        self._problems: list[str] = []
        self._by_name: dict[str, Identity] = {}
        self._by_subject: dict[str, Identity] = {}
        self._limits: dict[str, tuple[float, float]] = {}
        self._order: dict[str, int] = {}
        for name, each in services.items():
            try:
                self._add(name, each)
            except ValueError as error:
                self._problems.append(f"HUB_TLS_CLIENTS: {name}: {error}")

    def who(self, shown: Shown, now: float) -> Identity | None:
        """The service whose certificate it is."""
        text = shown.header if shown.proxied else shown.own
        if not text or shown.browser:
            return None
        try:
            certificate = presented(text)
        except ValueError as error:
            raise invalid(f"the client's certificate can't be read: {error}") from None
        if certificate.ends <= now:
            raise expired(f"the certificate for {certificate.who} has expired")
        found = self._service(certificate)
        if found is None:
            why = f"the certificate for {certificate.who} is none that HUB_TLS_CLIENTS names"
            raise HubError(ErrorCode.UNAUTHENTICATED, why)
        return replace(found, expires_at=certificate.ends)

    def limit(self, service: Identity) -> tuple[float, float] | None:
        """Requests a second, and at once."""
        return self._limits.get(service.user)

    def problems(self) -> Sequence[str]:
        """What is wrong with the settings, in words; such services are not known."""
        return list(self._problems)

    def _add(self, name: str, each: CertifiedService) -> None:
        if not name or (each.san is None) == (each.subject is None):
            raise ValueError("a client certificate is named by either san or subject")
        identity = service(name, named_grants(each.grants), each.admin, each.admin)
        if each.san is not None:
            table, key = self._by_name, name_of(each.san)
        else:
            assert each.subject is not None
            table, key = self._by_subject, subject_of(each.subject)
        if key in table:
            raise ValueError(f"{key} is that of {table[key].user} already")
        table[key] = identity
        self._order[name] = len(self._order)
        if each.limit is not None:
            self._limits[name] = each.limit

    def _service(self, certificate: Certificate) -> Identity | None:
        found = [self._by_name[name] for name in certificate.names if name in self._by_name]
        if certificate.subject in self._by_subject:
            found.append(self._by_subject[certificate.subject])
        return min(found, key=lambda each: self._order[each.user], default=None)

"""What an X.509 certificate says (RFC 5280): for whom it is, and until when."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

MAX_CHARS = 32_768  # of one in a header, escaped
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_REMEMBERED = 1024


@dataclass(frozen=True, slots=True)
class Certificate:
    """`subject` as in RFC 4514, the most specific first: ``CN=worker,O=Example``. `names` are those of its
    subjectAltName with their kinds, as OpenSSL writes them: ``DNS:worker.example``, ``URI:spiffe://…``,
    ``email:…``, ``IP:10.0.0.7``. `begins` and `ends` are Unix seconds."""

    subject: str
    names: tuple[str, ...]
    begins: float
    ends: float

    @property
    def who(self) -> str:
        """For whom it is, in words."""
        return ", ".join(self.names[:4]) or self.subject or "nobody"


def read(der: bytes) -> Certificate:
    """A certificate by its bytes.

    Raises:
        ValueError: it is none.
    """
    found = x509.load_der_x509_certificate(der)
    return Certificate(
        found.subject.rfc4514_string(),
        tuple(_names(found)),
        found.not_valid_before_utc.timestamp(),
        found.not_valid_after_utc.timestamp(),
    )


@lru_cache(_REMEMBERED)
def presented(text: str) -> Certificate:
    """A certificate as servers and proxies hand it on: PEM (ASGI's extension ``tls``), PEM with %-escapes (nginx,
    ``$ssl_client_escaped_cert``), base64 (HAProxy, ``ssl_c_der,base64``; Traefik), or base64 between colons
    (RFC 9440). One, and no chain: where somebody has put another one before it, none counts.

    Raises:
        ValueError: it is none of them.
    """
    if len(text) > MAX_CHARS:
        raise ValueError("it is too long")
    plain = unquote(text) if "%" in text else text
    if _BEGIN in plain:
        before, _, rest = plain.partition(_BEGIN)
        plain, _, behind = rest.partition(_END)
        if before.strip() or behind.strip():
            raise ValueError("there is more than one certificate")
    elif plain.startswith(":") and plain.endswith(":"):
        plain = plain[1:-1]
    try:
        return read(base64.b64decode("".join(plain.split()), validate=True))
    except binascii.Error:
        raise ValueError("it is no base64") from None


def subject_of(text: str) -> str:
    """A subject as `Certificate.subject` writes it.

    Raises:
        ValueError: it is none (RFC 4514).
    """
    return x509.Name.from_rfc4514_string(text).rfc4514_string()


def name_of(text: str) -> str:
    """A name as `Certificate.names` writes it.

    Raises:
        ValueError: its kind is missing.
    """
    kind, _, value = text.partition(":")
    for known in _KINDS.values():
        if kind.lower() == known.lower() and value:
            return f"{known}:{value.lower() if known == 'DNS' else value}"
    raise ValueError(
        f"a name begins with its kind, one of {', '.join(f'{each}:' for each in _KINDS.values())}"
    )


_KINDS: dict[type[x509.GeneralName], str] = {
    x509.DNSName: "DNS",
    x509.UniformResourceIdentifier: "URI",
    x509.RFC822Name: "email",
    x509.IPAddress: "IP",
}


def _names(found: x509.Certificate) -> Sequence[str]:
    try:
        extension = found.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except x509.ExtensionNotFound:
        return ()
    assert isinstance(extension, x509.SubjectAlternativeName)
    return [name_of(f"{_KINDS[type(each)]}:{each.value}") for each in extension if type(each) in _KINDS]

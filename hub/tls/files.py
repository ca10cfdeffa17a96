"""The files of a TLS server: certificate and key, and whose certificates clients may show."""

import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from .certificate import Certificate, read

DAY_S = 86_400
_NEAR_S = 14 * DAY_S  # an end that is no further away is told
_NEAR_PART = 4  # but not before three quarters of a short life are over
_CRL = "-----BEGIN X509 CRL-----"


class BadFiles(ValueError):
    """They can't be used, and why."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths, in PEM. `cert` may hold the chain behind the server's own certificate, and its key where `key` is
    None. With `client_ca` clients are asked for a certificate by one of these issuers; `required`: without one
    nobody is let in. Revocation lists in `client_ca` count."""

    cert: str
    key: str | None = None
    client_ca: str | None = None
    required: bool = False

    def load(self) -> tuple[ssl.SSLContext, Certificate]:
        """What serves with them, and the server's own certificate.

        Raises:
            BadFiles: why it can't.
        """
        own = certificate_in(self.cert, "HUB_TLS_CERT")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_alpn_protocols(["http/1.1"])
        self._take_pair(context)
        if self.client_ca is not None:
            self._ask_clients(context, self.client_ca)
        return context, own

    def stamp(self) -> tuple[object, ...]:
        """What differs once one of the files was written, or replaced."""
        return tuple(_stamp(path) for path in (self.cert, self.key, self.client_ca) if path is not None)

    def _take_pair(self, context: ssl.SSLContext) -> None:
        if self.key is not None:
            _text(self.key, "HUB_TLS_KEY")
        asked: list[bool] = []

        def no_password() -> str:  # without one OpenSSL asks at the terminal
            asked.append(True)
            return ""

        try:
            context.load_cert_chain(self.cert, self.key, password=no_password)
        except ssl.SSLError as error:
            raise BadFiles(_why(error, self.key or self.cert, self.cert, encrypted=bool(asked))) from None

    def _ask_clients(self, context: ssl.SSLContext, path: str) -> None:
        text = _text(path, "HUB_TLS_CLIENT_CA")
        try:
            context.load_verify_locations(path)
        except ssl.SSLError:
            raise BadFiles(f"HUB_TLS_CLIENT_CA: {path} holds no certificate in PEM") from None
        context.verify_mode = ssl.CERT_REQUIRED if self.required else ssl.CERT_OPTIONAL
        if _CRL in text:
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


def certificate_in(path: str, setting: str) -> Certificate:
    """The first certificate of a file.

    Raises:
        BadFiles: there is none.
    """
    text = _text(path, setting)
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    if begin not in text or end not in text:
        raise BadFiles(f"{setting}: {path} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)")
    first = f"{begin}{text.partition(begin)[2].partition(end)[0]}{end}"
    try:
        return read(ssl.PEM_cert_to_DER_cert(first))
    except ValueError:
        raise BadFiles(f"{setting}: the certificate in {path} can't be read") from None


def expiry(certificate: Certificate, now: float | None = None) -> str | None:
    """What is to be said of a certificate's time; None: nothing yet. `now` is Unix seconds."""
    now = time.time() if now is None else now
    left = certificate.ends - now
    until = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(certificate.ends))
    if left <= 0:
        return f"the certificate for {certificate.who} has expired ({until})"
    if certificate.begins > now:
        since = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(certificate.begins))
        return f"the certificate for {certificate.who} is not valid before {since}"
    if left > min(_NEAR_S, (certificate.ends - certificate.begins) / _NEAR_PART):
        return None
    return f"the certificate for {certificate.who} expires in {_span(left)} ({until})"


def _span(seconds: float) -> str:
    return f"{seconds / DAY_S:.0f} days" if seconds >= 2 * DAY_S else f"{seconds / 3600:.0f} hours"


def _stamp(path: str) -> object:
    """By device and inode too: who writes a file beside it and renames it may keep its time."""
    try:
        found = Path(path).stat()
    except OSError as error:
        return error.errno
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _text(path: str, setting: str) -> str:
    try:
        return Path(path).read_text("ascii", errors="replace")
    except OSError as error:
        raise BadFiles(f"{setting}: {path}: {(error.strerror or str(error)).lower()}") from None


def _why(error: ssl.SSLError, key: str, cert: str, *, encrypted: bool) -> str:
    if encrypted:
        return f"HUB_TLS_KEY: the key in {key} is encrypted: the hub asks for no password"
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"HUB_TLS_KEY: the key in {key} is not that of the certificate in {cert}"
    if error.reason in ("EE_KEY_TOO_SMALL", "CA_MD_TOO_WEAK", "CA_KEY_TOO_SMALL"):
        return f"HUB_TLS_CERT: the certificate in {cert} is too weak to be used ({error.reason})"
    other = "" if key != cert else ", and HUB_TLS_KEY names no other file"
    return f"HUB_TLS_KEY: {key} holds no private key in PEM{other}"

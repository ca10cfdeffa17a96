"""Real certificates: an issuer of a test's own, and what it issues."""

import datetime
import ipaddress
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY_S = 86_400


class Authority:
    """An issuer. Its certificate is in the file `ca`; what it issues lies beside it."""

    def __init__(self, folder: Path, name: str = "Test CA") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = self._build(self._name, self._key.public_key(), (), -DAY_S, 365 * DAY_S, ca=True)
        self.ca = folder / f"{name.lower().replace(' ', '-')}.pem"
        self.ca.write_bytes(_pem(self._certificate))

    def issue(
        self,
        subject: str,
        *names: str,
        begins: float = -DAY_S,
        ends: float = 90 * DAY_S,
        file: str | None = None,
        password: bytes | None = None,
    ) -> Path:
        """A file with a certificate and its key, for a subject (RFC 4514) and names with their kinds
        (``DNS:a``), good from `begins` to `ends` seconds from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        found = self._build(x509.Name.from_rfc4514_string(subject), key.public_key(), names, begins, ends)
        hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption_algorithm=hidden
        )
        path = self._folder / (file or f"{subject.partition('=')[2].partition(',')[0]}.pem")
        fresh = path.with_suffix(".new")
        fresh.write_bytes(_pem(found) + secret)
        fresh.rename(path)  # as everybody does who changes a file that is read
        return path

    def revoke(self, path: Path) -> bytes:
        """A revocation list (PEM) with the certificate of a file."""
        serial = x509.load_pem_x509_certificate(path.read_bytes()).serial_number
        now = datetime.datetime.now(datetime.UTC)
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._name).last_update(now)
        builder = builder.next_update(now + datetime.timedelta(days=1)).add_revoked_certificate(entry)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _build(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        names: tuple[str, ...],
        begins: float,
        ends: float,
        *,
        ca: bool = False,
    ) -> x509.Certificate:
        now = time.time()

        def at(seconds: float) -> datetime.datetime:
            return datetime.datetime.fromtimestamp(now + seconds, datetime.UTC)

        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(at(begins)).not_valid_after(at(ends))
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(map(_name, names)), critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _name(text: str) -> x509.GeneralName:
    kind, _, value = text.partition(":")
    match kind:
        case "DNS":
            return x509.DNSName(value)
        case "URI":
            return x509.UniformResourceIdentifier(value)
        case "email":
            return x509.RFC822Name(value)
    return x509.IPAddress(ipaddress.ip_address(value))


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)

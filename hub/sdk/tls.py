"""TLS of a client: whose certificates it believes, and which one it shows."""

import ssl
from pathlib import Path

Cert = str | tuple[str, str]
"""A file with a certificate and its key (PEM), or one for each."""


class ClientTls:
    """Believes what `ca` (a file of certificates, PEM) says, else what this machine does, and shows `cert` where
    the hub asks for one. A `ca` that is a hub's own certificate pins it: then its name is not looked at (`named`
    False).

    `refresh` reads `cert` anew where its files have changed: short-lived certificates are renewed in place.

    Raises:
        ValueError: a file can't be used, and why.
    """

    def __init__(self, ca: str | None = None, cert: Cert | None = None, *, named: bool = True) -> None:
        try:
            self.context = ssl.create_default_context(cafile=ca)
        except OSError as error:
            raise ValueError(f"ca: {ca}: {_words(error)}") from None
        if not named:
            self.context.check_hostname = False
            self.context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        self._files = (cert,) if isinstance(cert, str) else cert
        self._stamp: object = None
        if self._files is not None:
            self._stamp = _stamp(self._files)
            try:
                self._load(self._files)
            except OSError as error:
                raise ValueError(f"cert: {', '.join(self._files)}: {_words(error)}") from None

    @property
    def certified(self) -> bool:
        """Whether it shows a certificate."""
        return self._files is not None

    def refresh(self) -> None:
        """For connections from now on. Files that can't be used leave the one before in use."""
        if self._files is None or (stamp := _stamp(self._files)) == self._stamp:
            return
        try:
            self._load(self._files)
        except OSError:
            return  # between two writes; else the hub will say that the certificate has expired
        self._stamp = stamp

    def _load(self, files: tuple[str, ...]) -> None:
        """On a trial first: a context keeps the certificate of a pair whose key did not fit it."""
        for context in (ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), self.context):
            context.load_cert_chain(files[0], files[-1], password=lambda: "")


def of_options(url: str, ca: str | None, cert: Cert | None) -> ClientTls | None:
    """What a client's options ask for; None: whatever is usual.

    Raises:
        ValueError: they can't be used, or `url` is not one of TLS.
    """
    if ca is None and cert is None:
        return None
    if not url.strip().startswith(("https:", "wss:")):
        raise ValueError("ca and cert are for a hub's address that begins with https:// or wss://")
    return ClientTls(ca, cert)


def _stamp(files: tuple[str, ...]) -> object:
    return [_stamp_of(Path(path)) for path in files]


def _stamp_of(path: Path) -> object:
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    return found.st_ino, found.st_mtime_ns, found.st_size


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        if error.reason == "KEY_VALUES_MISMATCH":
            return "the key is not that of the certificate"
        return (
            f"no certificate or key in PEM ({error.reason})"
            if error.reason
            else "no certificate or key in PEM"
        )
    return (error.strerror or str(error)).lower()

"""The certificate that a client has shown, on its way from the TLS of a server to who asks whose it is.

Between server and app it stands where ASGI's extension `tls` has it:
https://asgi.readthedocs.io/en/latest/specs/tls.html
"""

import math
import ssl
from collections.abc import Mapping
from typing import Any


def client_certificate(transport: Any) -> tuple[str | None, float]:
    """That of a connection (PEM), and its end in Unix seconds; None where its client showed none, or there is no
    TLS."""
    tls = transport.get_extra_info("ssl_object")
    shown = tls.getpeercert(binary_form=True) if tls is not None else None
    if not shown:
        return None, math.inf
    return ssl.DER_cert_to_PEM_cert(shown), ssl.cert_time_to_seconds(tls.getpeercert()["notAfter"])


def extension(certificate: str) -> dict[str, Any]:
    """What a scope's `extensions` hold under ``tls``."""
    return {"client_cert_chain": (certificate,), "client_cert_error": None}


def in_scope(scope: Mapping[str, Any]) -> str | None:
    """The client's certificate (PEM), where the server hands it on and found nothing wrong with it."""
    found = (scope.get("extensions") or {}).get("tls") or {}
    if found.get("client_cert_error"):
        return None
    return next(iter(found.get("client_cert_chain") or ()), None)

"""For the portable lane under uvicorn: its HTTP, which also hands on what certificate a client has shown."""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .tls import client_certificate, extension


class CertifiedHttpProtocol(HttpToolsProtocol):
    """uvicorn's `HttpToolsProtocol` with ASGI's extension ``tls``: ``uvicorn.run(app, http=…, ssl_ca_certs=…)``."""

    _certificate: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """A connection, behind the handshake of TLS."""
        super().connection_made(transport)
        self._certificate, _ = client_certificate(transport)

    def on_message_begin(self) -> None:
        """A request begins: its scope is made."""
        super().on_message_begin()
        if self._certificate is not None:
            cast("dict[str, Any]", self.scope)["extensions"] = {"tls": extension(self._certificate)}

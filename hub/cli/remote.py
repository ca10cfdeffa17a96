"""For commands that talk to a running hub: where it is, who asks, and one way to ask."""

import os
import ssl
from collections.abc import Sequence
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx

from ..sdk.addresses import http_base, socket_address
from ..sdk.tls import ClientTls
from ..settings import Settings
from . import configuration, tokens
from .failure import Failure

_OWN_TOKEN_S = 3600
_DEADLINE_S = 10.0
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # where it listens, and where it is found
_WHO = "who asks? set HUB_API_KEY (or HUB_TOKEN), or HUB_API_KEYS as the hub has it"


def base_url(given: str | None) -> str:
    """The hub's address, ``http://host:port`` and the path where it is mounted: by argument, HUB_URL, or the
    settings of this machine. The address of its WebSockets says it too.

    Raises:
        Failure: it is no such address.
    """
    url = given or os.environ.get("HUB_URL")
    if not url:
        return local_url(configuration.load())
    try:
        return http_base(url, configuration.load().path)
    except ValueError as error:
        raise Failure(f"{error} (--url, HUB_URL)") from None


def socket_url(given: str | None) -> str:
    """The address of the hub's WebSockets: as given by ``ws://…`` with a path, else with the hub's own."""
    url = given or os.environ.get("HUB_URL") or base_url(None)
    try:
        return socket_address(url, configuration.load().path)
    except ValueError as error:
        raise Failure(f"{error} (--url, HUB_URL)") from None


def local_url(settings: Settings) -> str:
    """Where a hub with these settings is found on this machine."""
    host = _ANYWHERE.get(settings.hosts[0], settings.hosts[0])
    scheme = "http" if settings.tls_cert is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}"


def tls(url: str, settings: Settings | None = None) -> ClientTls | None:
    """The TLS to a hub: by HUB_CA, HUB_CERT and HUB_CERT_KEY; the one of this machine is known by its certificate.

    Raises:
        Failure: a file can't be used.
    """
    ca, cert, key = (os.environ.get(name) or None for name in ("HUB_CA", "HUB_CERT", "HUB_CERT_KEY"))
    if url.startswith(("http:", "ws:")):
        return None
    try:
        if ca is None and cert is None:
            settings = settings or configuration.load()
            own = http_base(url, settings.path) == local_url(settings)
            return ClientTls(settings.tls_cert, named=False) if own else None
        return ClientTls(ca, (cert, key) if cert is not None and key is not None else cert)
    except ValueError as error:
        raise Failure(f"HUB_CA, HUB_CERT: {error}") from None


def verify(url: str) -> ssl.SSLContext | bool:
    """As `tls`, for httpx."""
    found = tls(url)
    return True if found is None else found.context


def bearers(given: str | None) -> list[str]:
    """Who may be asking, the likeliest first: by argument alone; HUB_API_KEY, HUB_TOKEN; else the hub's keys."""
    if given:
        return [given]
    found = [value for name in ("HUB_API_KEY", "HUB_TOKEN") if (value := os.environ.get(name))]
    return found or configuration.load().service_keys


def service_bearer(given: str | None) -> str:
    """The likeliest of `bearers`.

    Raises:
        Failure: there is none.
    """
    found = bearers(given)
    if not found:
        raise Failure(_WHO)
    return found[0]


def bridge_bearer(given: str | None) -> str:
    """As `service_bearer`; empty where a certificate says who asks (HUB_CERT)."""
    return "" if not bearers(given) and os.environ.get("HUB_CERT") else service_bearer(given)


def reader_token(given: str | None, channels: list[str]) -> str:
    """A token that may read `channels`: by argument, HUB_TOKEN, or signed by the hub's own secret.

    Raises:
        Failure: there is neither a token nor a secret.
    """
    found = given or os.environ.get("HUB_TOKEN")
    if found:
        return found
    settings = configuration.load()
    if settings.jwt_secret is None:
        raise Failure("who asks? set HUB_TOKEN, or HUB_JWT_SECRET as the hub has it")
    return tokens.sign(settings, "hub-cli", {"subscribe": channels}, _OWN_TOKEN_S)


class Refused(Failure):
    """The hub said no; `status` is that of HTTP, `body` what it said."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        why = body.get("reason") or body.get("detail") or "it does not say why"
        super().__init__(f"the hub refused (HTTP {status}): {why}")
        self.http_status = status
        self.body = body


class RunningHub:
    """One hub that runs, asked over HTTP; each question with a deadline.

    With several credentials the next one is tried where a right is missing: a key that publishes, and a token of an
    administrator, may both be at hand.
    """

    def __init__(self, url: str | None, credentials: Sequence[str]) -> None:
        self.url = base_url(url)
        self._credentials = list(credentials)
        self._http = httpx.Client(timeout=_DEADLINE_S, verify=verify(self.url))

    def __enter__(self) -> "RunningHub":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """The answer to `GET`; query parameters that are None are left out."""
        return self.ask(
            "GET", path, params={name: value for name, value in query.items() if value is not None}
        )

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to `POST`; fields that are None are left out."""
        return self.ask("POST", path, json={name: value for name, value in body.items() if value is not None})

    def ask(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """The hub's answer.

        Raises:
            Refused: it said no. Failure: there is no answer, or none of a hub's.
        """
        refused: Refused | None = None
        for bearer in self._credentials:
            status, body = self._send(method, path, bearer, request)
            if status < 300:
                return body
            refused = refused or Refused(status, body)
            if status != httpx.codes.FORBIDDEN:
                raise Refused(status, body)
        raise refused or Failure(_WHO)

    def _send(
        self, method: str, path: str, bearer: str, request: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {bearer}"}
        try:
            response = self._http.request(method, f"{self.url}{path}", headers=headers, **request)
            body = response.json()
        except httpx.HTTPError as error:
            raise Failure(f"no answer from {self.url}: {error or type(error).__name__}") from None
        except ValueError:
            raise Failure(f"{self.url} answered HTTP {response.status_code}, not as a hub does") from None
        return response.status_code, body if isinstance(body, dict) else {}


def asking(url: str | None, token: str | None) -> RunningHub:
    """A hub that runs, by the arguments of a command.

    Raises:
        Failure: nobody says who asks, or where.
    """
    credentials = bearers(token)
    if not credentials:
        raise Failure(_WHO)
    return RunningHub(url, credentials)


def channel_path(name: str, part: str = "") -> str:
    """The path of a channel's resource."""
    return f"/v1/channels/{quote(name, safe=':')}{part}"

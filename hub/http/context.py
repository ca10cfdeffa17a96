"""What every route needs: who asks, what the body is."""

import asyncio
import contextlib
import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

from starlette.requests import ClientDisconnect, Request

from ..auth.addresses import TrustedProxies
from ..auth.admin_tickets import AdminTickets
from ..auth.api_keys import ApiKeys
from ..auth.certificates import BROWSERS, Certificates, Shown
from ..auth.identity import Identity, Level
from ..auth.stream_tickets import StreamTickets
from ..auth.tickets import Tickets
from ..cluster.commands import ClusterCommands
from ..commands.host import Entrance, Publishes
from ..commands.publications import PublicationChecks
from ..observe.audit import Action, Audit
from ..protocol.codec import describe, loads_json
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..protocol.payloads import keep_payload, keep_payloads
from ..runtime.histogram import Histograms
from ..runtime.slices import OneATurn
from ..tracing.base import Tracer
from ..transport.tls import in_scope
from .metrics import Counted, Exposition
from .rates import Limits, Rates
from .whole_request import AnyRequest, WholeRequest

if TYPE_CHECKING:
    from ..tls.server import ServerTls

BODY_S = 30.0  # a body has to be there by then
USER_MESSAGES = 4  # so many times the longest message, the body of a user's request may be long


class Services(Limits, Counted, Publishes, Entrance, Protocol):
    """What routes ask of the node."""

    cluster: ClusterCommands
    tracer: Tracer | None
    publication_checks: PublicationChecks
    admin_tickets: AdminTickets

    def wall(self) -> float:
        """Unix seconds."""

    async def verify(self, token: str) -> Identity:
        """Who a token speaks for; raises `HubError`."""

    async def explain_token(self, token: str) -> list[str]:
        """Whether a token is good, why, and what it allows: lines for its holder."""


class HttpContext:
    """Reads and checks HTTP requests for the routes of one node. `served` counts by route and status, `took` the
    seconds until an answer began, by route."""

    def __init__(
        self,
        node: Services,
        api_keys: ApiKeys,
        tickets: Tickets,
        stream_tickets: StreamTickets,
        proxies: TrustedProxies,
        certificates: Certificates,
        audit: Audit | None = None,
        tls: "ServerTls | None" = None,
    ) -> None:
        self.node = node
        self.audit = audit
        self.tickets = tickets
        self.stream_tickets = stream_tickets
        self.tls = tls
        self._proxies = proxies
        self._certificates = certificates
        self.pages = OneATurn()  # of answers that are long
        self.rates = Rates(node)
        self.served: Counter[tuple[str, int]] = Counter()
        self.took = Histograms()
        self.exposition = Exposition(node, self.served, self.took, audit, tls)
        self.described: dict[str, dict[str, Any]] = {}  # paths of the OpenAPI document beside the hub's own
        self._api_keys = api_keys

    def is_service(self, credentials: str | None, certificate: str | None) -> bool:
        """Whether these are a service's API key, or else its certificate."""
        if credentials is not None:
            return self._api_keys.verify(credentials) is not None
        if certificate is None:
            return False
        shown = Shown(certificate, None, proxied=False, browser=False)
        try:
            return self._certificates.who(shown, self.node.wall()) is not None
        except HubError:
            return False

    def address(self, request: Request) -> str:
        """Where a request comes from, as limits count it."""
        peer = request.client.host if request.client else "local"
        return self._proxies.client(peer, request.headers.get("x-forwarded-for"))

    async def identity(self, request: AnyRequest) -> Identity:
        """Who asks: an API key or a token, else the certificate of a service.

        Raises:
            HubError: ``unauthenticated``, or what is wrong with the token; ``rate_limited``.
        """
        authorization = request.headers.get("authorization", "")
        if not authorization and (service := self._certified(request)) is not None:
            return service
        scheme, _, credentials = authorization.partition(" ")
        credentials = credentials.strip()
        if scheme.lower() != "bearer" or not credentials:
            raise HubError(
                ErrorCode.UNAUTHENTICATED, "the header Authorization: Bearer <token or API key> is missing"
            )
        if self.audit is None or isinstance(request, WholeRequest):
            return await self.bearer(credentials)
        return await self._audited_bearer(credentials, self.audit, request)

    def _certified(self, request: AnyRequest) -> Identity | None:
        service = self._certificates.who(self._shown(request), self.node.wall())
        if service is not None and (limit := self._certificates.limit(service)) is not None:
            self.rates.check_key(service, *limit)
        return service

    def _shown(self, request: AnyRequest) -> Shown:
        browser = any(request.headers.get(name, "") for name in BROWSERS)
        if isinstance(request, WholeRequest):  # of no proxy that hands certificates on
            return Shown(request.certificate, None, proxied=False, browser=browser)
        headers, named = request.headers, self._certificates.header
        return Shown(
            in_scope(request.scope),
            ", ".join(headers.getlist(named)) if named is not None else None,
            self._proxies.trusts(request.client.host if request.client else "local"),
            browser,
        )

    async def _audited_bearer(self, credentials: str, audit: Audit, request: Request) -> Identity:
        address = self.address(request)
        try:
            identity = await self.bearer(credentials)
        except HubError as error:
            if error.status == 401:
                audit.login_refused(error.code, address)
            raise
        if math.isinf(identity.expires_at):
            audit.used(identity, address)
        return identity

    def audited(
        self,
        request: Request,
        identity: Identity,
        name: str,
        what: dict[str, Any],
        *,
        goes_ahead: bool = False,
    ) -> contextlib.AbstractAsyncContextManager[None]:
        """Around what is done to the hub: told in the audit log before it is done, where there is one.

        Raises:
            HubError: ``unavailable``: it can't be told, and must not be done.
        """
        if self.audit is None:
            return contextlib.nullcontext()
        action = Action(name, identity.name, self.address(request), what)
        return self.audit.about(action, goes_ahead=goes_ahead)

    def _forbidden(self, request: Request, identity: Identity, why: str) -> HubError:
        error = HubError(ErrorCode.FORBIDDEN, why)
        if self.audit is not None:
            name = f"{request.method} {request.url.path[:100]}"
            self.audit.refused(Action(name, identity.name, self.address(request), {}), error)
        return error

    async def bearer(self, credentials: str) -> Identity:
        """Who has these credentials, an API key or a token.

        Raises:
            HubError: what is wrong with the token; ``rate_limited``.
        """
        service = self._api_keys.verify(credentials)
        if service is not None:
            limit = self._api_keys.limit(service)
            if limit is not None:
                self.rates.check_key(service, *limit)
            return service
        identity = await self.node.verify(credentials)
        self.rates.check_command(identity)
        return identity

    async def publisher(self, request: AnyRequest) -> Identity:
        """Who asks, where only those may who may publish somewhere: nothing of a body is read of anybody else.

        Raises:
            HubError: ``forbidden``, or as `identity`.
        """
        identity = await self.identity(request)
        if not identity.grants.publish.patterns:
            raise HubError(ErrorCode.FORBIDDEN, "no grant of this token allows publish on any channel")
        return identity

    async def control(self, request: Request, level: Level) -> Identity:
        """Who asks, where connections, tokens or the node are seen (`Level.READ`) or changed.

        Raises:
            HubError: ``forbidden``, or as `identity`.
        """
        identity = await self.identity(request)
        if identity.control < level:
            why = (
                f"this API key names its rights, and admin:{level.name.lower()} is not among them"
                if identity.service
                else "only a service may do this: an API key, or hub.service:true"
            )
            raise self._forbidden(request, identity, why)
        return identity

    async def admin(self, request: Request, level: Level) -> Identity:
        """Who asks, where only who runs the hub may: by a key, a role or a token that says `admin`.

        Raises:
            HubError: ``forbidden``, or as `identity`.
        """
        identity = await self.identity(request)
        if identity.admin < level:
            raise self._forbidden(request, identity, f"this needs the right admin:{level.name.lower()}")
        return identity

    async def object(
        self, request: Request, asks: Identity | None = None, *, most: int | None = None
    ) -> dict[str, Any]:
        """The body, a JSON object; its `Content-Type` is not looked at, so that a plain curl works.

        It is no longer than `asks` may send, or a user where nobody is named, and than `most` bytes.

        Raises:
            HubError: ``bad_message`` or ``too_large``.
        """
        return _object(await self.body(request, asks, most=most))

    async def publications(self, request: AnyRequest, asks: Identity) -> dict[str, Any]:
        """The body, as `object`, in which payloads keep their bytes.

        Raises:
            HubError: ``bad_message`` or ``too_large``.
        """
        body = await self._body(request, self._most(asks))
        value = _object(body)
        keep_payload(value, body)
        keep_payloads(value, body)
        return value

    async def body(self, request: Request, asks: Identity | None = None, *, most: int | None = None) -> bytes:
        """The body as it came, no longer than `asks` may send, and than `most` bytes.

        Raises:
            HubError: ``bad_message`` or ``too_large``.
        """
        allowed = self._most(asks)
        return await self._body(request, allowed if most is None else min(most, allowed))

    def _most(self, asks: Identity | None) -> int:
        """How long a body may be. 8 MB of small objects keep the loop for 0.3 s: that is for services only."""
        settings = self.node.settings
        if asks is not None and asks.service:
            return settings.max_body_bytes
        return min(settings.max_body_bytes, USER_MESSAGES * settings.message_bytes)

    async def _body(self, request: AnyRequest, most: int) -> bytes:
        if isinstance(request, WholeRequest):
            if len(request.body) > most:
                raise _too_large(most)
            return request.body
        declared = request.headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and int(declared[:20]) > most:
            raise _too_large(most)
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_S):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > most:
                        raise _too_large(most)
        except ClientDisconnect:
            raise HubError(ErrorCode.BAD_MESSAGE, "the request was cut") from None
        except TimeoutError:
            raise HubError(ErrorCode.BAD_MESSAGE, f"the body did not come within {BODY_S:g} s") from None
        return bytes(body)


def _object(body: bytes) -> dict[str, Any]:
    value = loads_json(body)
    if not isinstance(value, dict):
        raise HubError(ErrorCode.BAD_MESSAGE, f"the body must be a JSON object, not {describe(value)}")
    return value


def _too_large(most: int) -> HubError:
    return HubError(ErrorCode.TOO_LARGE, f"the body is over {most} bytes")

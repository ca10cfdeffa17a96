"""How a publisher's events reach the hub: the interface, and HTTP."""

from collections.abc import Sequence
from typing import Any, Protocol

import httpx

from hub.protocol.codec import dumps_json, loads_json
from hub.protocol.codes import ErrorCode, Outcome
from hub.protocol.errors import HubError

from .errors import TokenRefused
from .items import error_of
from .tls import ClientTls
from .tokens import TokenSource


class TryAgain(Exception):
    """The hub was not reached or was too busy: the same events may be sent again.

    `after` is in seconds. `sent`: they may have been stored all the same.
    """

    def __init__(self, reason: str, after: float | None = None, *, sent: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after
        self.sent = sent


class Delivery(Protocol):
    """One way to the hub."""

    async def send(self, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Publish up to 1000 events of ``POST /v1/batch``; the answers, as in `results`, one each in order.

        Raises:
            TryAgain: nothing is known of any of them, or nothing was done.
            HubError: all of them are refused. TokenRefused: the token or API key is not accepted.
        """

    async def close(self) -> None:
        """Let go of connections."""


class HttpDelivery:
    """``POST /v1/batch`` of a hub at `url`, with a token of `tokens` or an API key as bearer, over `tls`.

    `ordered`: what is stored of a channel's events is a prefix of those not finally refused (docs/protocol.md,
    section 10). `replicas`: what so many replicas of the hub's storage do not have is not taken for stored.
    """

    def __init__(
        self,
        url: str,
        tokens: TokenSource,
        deadline: float,
        client: httpx.AsyncClient | None = None,
        *,
        ordered: bool = False,
        tls: ClientTls | None = None,
        replicas: int = 0,
    ):
        self._hub = url.rstrip("/")
        self._url = f"{self._hub}/v1/batch"
        self._fields: dict[str, Any] = {"ordered": True} if ordered else {}
        self._replicas = replicas
        if replicas:
            self._fields["replicas"] = replicas
        self._tokens = tokens
        self._token: str | None = None
        self._tls = tls
        self._http = client or httpx.AsyncClient(
            timeout=deadline, follow_redirects=False, verify=True if tls is None else tls.context
        )

    async def send(self, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        body = dumps_json({"events": events, **self._fields})
        response = await self._post(body)
        if response.status_code == 401:
            if not self._tokens.renewable:
                raise TokenRefused(f"the hub refused the token: {_problem(response).reason}", 401)
            self._token = None
            response = await self._post(body)
            if response.status_code == 401:
                raise TokenRefused(f"the hub refused a fresh token too: {_problem(response).reason}", 401)
        if response.status_code in (404, 405) and "problem+json" not in response.headers.get(
            "Content-Type", ""
        ):
            raise HubError(
                ErrorCode.INTERNAL,
                f"HTTP {response.status_code} from {self._url}, and not by a hub: is it mounted elsewhere?",
                outcome=Outcome.NOT_DONE,
            )
        return _results(response, len(events), self._replicas)

    async def close(self) -> None:
        await self._http.aclose()

    async def _post(self, body: bytes) -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        if bearer := await self._bearer():
            headers["Authorization"] = f"Bearer {bearer}"
        if self._tls is not None:
            self._tls.refresh()
        try:
            return await self._http.post(self._url, content=body, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            why = type(error).__name__
            raise TryAgain(f"the hub at {self._hub} can't be reached ({why})", sent=False) from None
        except httpx.TransportError as error:
            raise TryAgain(f"the hub at {self._hub} gave no answer ({type(error).__name__})") from None

    async def _bearer(self) -> str:
        if self._token is None:
            try:
                self._token = await self._tokens.get()
            except TokenRefused:
                raise
            except Exception as error:  # its text may quote a secret
                raise TryAgain(f"no token: {type(error).__name__}", sent=False) from None
        return self._token


def _results(response: httpx.Response, count: int, replicas: int) -> list[dict[str, Any]]:
    status = response.status_code
    if status in (429, 502, 503, 504):
        after = response.headers.get("Retry-After", "")
        problem = _problem(response)
        # Only the hub's own refusals are sure: a proxy may give up on a request that went through.
        raise TryAgain(
            f"HTTP {status}: {problem.reason}",
            float(after) if after.isdigit() else None,
            sent=status != 429 and problem.outcome is Outcome.UNKNOWN,
        )
    if status >= 500:
        raise TryAgain(f"HTTP {status}: {_problem(response).reason}")
    if status != 200:
        raise _problem(response)
    try:
        body = loads_json(response.content)
        results = body["results"]
    except (HubError, KeyError, TypeError):
        raise TryAgain("HTTP 200 with a body that is no answer of the hub") from None
    if (
        not isinstance(results, list)
        or len(results) != count
        or not all(isinstance(r, dict) for r in results)
    ):
        raise TryAgain("HTTP 200 with a number of results that does not fit")
    if replicas and body.get("replicas") != replicas:
        raise TryAgain("the hub did not ask for replicas: is it older than this?")
    return results


def _problem(response: httpx.Response) -> HubError:
    """The error of a problem+json body."""
    try:
        body = loads_json(response.content)
    except HubError:
        body = None
    if not isinstance(body, dict):
        return HubError(ErrorCode.INTERNAL, f"HTTP {response.status_code} {response.reason_phrase}")
    return error_of(body)

"""Keys of an issuer, fetched from its key set (JWKS) over HTTP and kept.

* The set is fetched when first needed, and in the background once it is older than `lifetime_s`: nobody waits
  for a refresh, and all who wait for the first fetch share it.
* While the endpoint fails, the keys of before are used, for `stale_s` at most.
* An unknown `kid` may be a new key, so it fetches the set, but a stranger can make up as many as they like: a
  bucket limits these fetches, and a `kid` that a fresh set does not know is refused for `unknown_s` unasked.
"""

import asyncio
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

import httpx

from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from ..runtime.bucket import TokenBucket
from . import jwk_set
from .jws import Jws
from .keys import ALGORITHMS, Key, refusal
from .refusals import invalid

MAX_DOCUMENT_BYTES = 256 * 1024
_MAX_UNKNOWN = 1024
# Fetches for unknown kids: a few at once, then one in a while.
_BURST = 5.0
_EVERY_S = 10.0

ASYMMETRIC = tuple(each for each in ALGORITHMS if not each.startswith("HS"))

log = logging.getLogger(__name__)


class JwksKeys:
    """See the module. `deadline_s` is for a whole fetch, `retry_s` (jittered) for the next after a failure.

    Of `algorithms` the asymmetric ones count, all of them by default: a key set is public.
    """

    def __init__(
        self,
        url: str,
        *,
        algorithms: Sequence[str] | None = None,
        lifetime_s: float = 600.0,
        deadline_s: float = 3.0,
        retry_s: float = 5.0,
        unknown_s: float = 30.0,
        stale_s: float = 86_400.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        self._algorithms = tuple(each for each in ASYMMETRIC if algorithms is None or each in algorithms)
        self._lifetime_s = lifetime_s
        self._deadline_s = deadline_s
        self._retry_s = retry_s
        self._unknown_s = unknown_s
        self._stale_s = stale_s
        self._clock = clock
        self._client: httpx.AsyncClient | None = None
        self._flight: asyncio.Task[None] | None = None
        self._set: jwk_set.KeySet | None = None
        self._version = 0
        self._fetched_at = 0.0
        self._next_fetch = 0.0
        self._error: str | None = None
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._bucket = TokenBucket(1 / _EVERY_S, _BURST, clock())

    async def keys_for(self, jws: Jws) -> Sequence[Key]:
        """The keys that may have signed this, at least one."""
        if (why := refusal(jws.algorithm, self._algorithms)) is not None:
            raise invalid(why)
        self._refresh_if_due()
        if self._set is None:
            await self._fetch_first()
        if keys := self._matching(jws):
            return keys
        if not self._is_known_unknown(jws.kid):
            await self._fetch_for_unknown()
            if keys := self._matching(jws):
                return keys
            self._remember_unknown(jws.kid)
        raise invalid(
            "the token names no key (kid), and the issuer's key set has none for its algorithm"
            if jws.kid is None
            else "the issuer's key set has no key of the token's kid and algorithm"
        )

    def version(self) -> int:
        """Another number once a key was taken away: what was verified before it counts no more. Begins a
        refresh that is due: a hub that sees known tokens only gets one, too."""
        self._refresh_if_due()
        return self._version

    def problems(self) -> list[str]:
        """What is wrong with the settings, in words; nothing may be served while there is any. Whether the
        endpoint answers is asked by `probe`."""
        problems = []
        if not self._algorithms:
            problems.append(f"no allowed algorithm works with a key set; there are {', '.join(ASYMMETRIC)}")
        try:
            url = httpx.URL(self._url)
        except httpx.InvalidURL as error:
            return [*problems, f"the key set's address is no URL: {error}"]
        if url.scheme not in ("http", "https") or not url.host:
            problems.append("the key set's address must begin with https:// (or http://) and name a host")
        return problems

    async def probe(self) -> list[str]:
        """Fetch the set now; what is wrong with it, in words."""
        await self._fetch()
        if self._error is not None:
            return [f"the key set can't be had: {self._error}"]
        return [] if self._set else ["the key set holds no key for " + ", ".join(self._algorithms)]

    async def close(self) -> None:
        """End a fetch that is under way, and the connections."""
        if (flight := self._flight) is not None:
            flight.cancel()
            await asyncio.wait([flight])
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    # what is known

    def _matching(self, jws: Jws) -> Sequence[Key]:
        return self._set.matching(jws) if self._set is not None else ()

    def _is_known_unknown(self, kid: str | None) -> bool:
        until = self._unknown.get(kid or "")
        return until is not None and self._clock() < until

    def _remember_unknown(self, kid: str | None) -> None:
        self._unknown[kid or ""] = self._clock() + self._unknown_s
        self._unknown.move_to_end(kid or "")
        while len(self._unknown) > _MAX_UNKNOWN:
            self._unknown.popitem(last=False)

    # when to fetch

    def _refresh_if_due(self) -> None:
        if self._set is None:
            return
        now = self._clock()
        if now >= self._fetched_at + self._stale_s:
            log.error("the keys of the issuer are too old to be used any longer: %s", self._error)
            self._set = None
            self._version += 1
        elif now >= self._next_fetch:
            self._begin()

    async def _fetch_first(self) -> None:
        if self._flight is None and self._clock() < self._next_fetch:
            raise self._unavailable(self._next_fetch - self._clock())
        await self._fetch()
        if self._set is None:
            raise self._unavailable(self._next_fetch - self._clock())

    async def _fetch_for_unknown(self) -> None:
        """Fetch, unless the bucket is empty or the endpoint failed just now: nobody can say then."""
        now = self._clock()
        if self._flight is None:
            if self._error is not None and now < self._next_fetch:
                raise self._unavailable(self._next_fetch - now)
            if wait := self._bucket.take(now):
                raise self._unavailable(wait)
        await self._fetch()
        if self._error is not None:
            raise self._unavailable(self._next_fetch - self._clock())

    def _unavailable(self, wait_s: float) -> HubError:
        why = self._error or "the token's key is not known, and many unknown ones were asked for just now"
        return HubError(
            ErrorCode.UNAVAILABLE,
            f"the token can't be checked at the moment: {why}",
            retry_after_ms=max(1, round(wait_s * 1000)),
        )

    # the fetch

    def _begin(self) -> asyncio.Task[None]:
        """The one fetch under way."""
        if self._flight is None or self._flight.done():
            self._flight = asyncio.get_running_loop().create_task(self._run())
        return self._flight

    async def _fetch(self) -> None:
        # Shielded: the one who waits may be cut off, and others wait for the same.
        await asyncio.shield(self._begin())

    async def _run(self) -> None:
        try:
            async with asyncio.timeout(self._deadline_s):
                document = await self._document()
            self._take(jwk_set.read(document, self._algorithms))
        except (TimeoutError, httpx.TimeoutException):
            self._fail(f"the endpoint did not answer within {self._deadline_s:g} s")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self._fail(f"the endpoint can't be reached ({type(error).__name__})")
        except ValueError as error:
            self._fail(str(error))
        finally:
            self._flight = None

    async def _document(self) -> bytes:
        """The key set as it is published."""
        return await self._get(self._url)

    async def _get(self, url: str) -> bytes:
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=self._deadline_s)
        data = bytearray()
        async with self._client.stream("GET", url, headers={"Accept": "application/json"}) as response:
            if response.status_code != httpx.codes.OK:
                raise ValueError(f"the endpoint answered HTTP {response.status_code}")
            async for chunk in response.aiter_bytes():
                data += chunk
                if len(data) > MAX_DOCUMENT_BYTES:
                    raise ValueError(f"the answer is longer than {MAX_DOCUMENT_BYTES} bytes")
        return bytes(data)

    def _take(self, fetched: jwk_set.KeySet) -> None:
        if not fetched:
            log.warning("the key set of the issuer holds no usable key")
        elif self._error is not None:
            log.info("the key set of the issuer can be had again")
        if self._set is not None and not self._set.names <= fetched.names:
            self._version += 1
        self._set = fetched
        self._error = None
        self._fetched_at = self._clock()
        self._next_fetch = self._fetched_at + self._lifetime_s * random.uniform(0.9, 1.0)

    def _fail(self, why: str) -> None:
        if why != self._error:
            log.warning("the key set of the issuer can't be had: %s", why)
        self._error = why
        self._next_fetch = self._clock() + self._retry_s * random.uniform(0.75, 1.25)

"""One request out, within its bounds: a deadline for all of it, so much of an answer and no more, no redirects."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from .lanes import Lanes


class NoAnswer(Exception):
    """There was none that counts, and why, in words."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def client(at_once: int, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """Keeps `at_once` connections alive; goes by no proxy that the environment names. More requests than that at
    once are for the caller to hold back."""
    return httpx.AsyncClient(
        transport=transport or Lanes(at_once),
        trust_env=False,
        follow_redirects=False,
        timeout=None,  # noqa: S113  # `post` has a deadline for all of it
    )


async def post(
    http: httpx.AsyncClient,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    within_s: float,
    most: int,
    method: str = "POST",
) -> Answer:
    """Send, and read up to `most` bytes of the answer.

    Raises:
        NoAnswer: none came in time, or one that is too long.
    """
    try:
        async with (
            asyncio.timeout(within_s),
            http.stream(method, url, content=body, headers={**headers}) as response,
        ):
            found = bytearray()
            async for chunk in response.aiter_raw():
                found += chunk
                if len(found) > most:
                    raise NoAnswer(f"the answer is over {most} bytes")
            plain = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status_code, plain, bytes(found))
    except TimeoutError:
        raise NoAnswer(f"no answer within {within_s:g} s") from None
    except httpx.HTTPError as error:
        raise NoAnswer(f"{type(error).__name__}: {error}"[:200]) from None

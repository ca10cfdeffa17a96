"""Tokens that were taken back before they expired."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError
from .claims import LEEWAY_S, MAX_ID, span
from .refusals import invalid

log = logging.getLogger(__name__)

MAX_ENTRIES = 100_000
_PRUNE_EVERY_S = 60.0


class Token(Protocol):
    """What a revocation looks at, of a connection's token or of a channel's."""

    @property
    def user(self) -> str:
        """Its `sub`."""

    @property
    def jti(self) -> str | None:
        """Its name."""

    @property
    def issued_at(self) -> float | None:
        """Its `iat`."""

    @property
    def expires_at(self) -> float:
        """Its `exp`; infinite where there was no token."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """`since`: tokens issued up to this Unix time are hit. `until`: when the last of them has expired."""

    since: float
    until: float


@dataclass(frozen=True, slots=True)
class RevocationEntry:
    """What is taken back: ``sub`` or ``jti``, of whom; `since` None where it was not said."""

    kind: str
    value: str
    since: float | None

    @property
    def target(self) -> str:
        """Without the moment: ``sub:ann``."""
        return f"{self.kind}:{self.value}"


def parse(entry: str) -> RevocationEntry:
    """Read ``jti:<jti>``, ``sub:<user>`` or ``sub@<Unix time>:<user>``.

    Raises:
        HubError: ``bad_message``.
    """
    head, _, value = entry.partition(":")
    kind, at, moment = head.partition("@")
    try:
        since = float(moment) if at else None
    except ValueError:
        since = math.nan
    if kind not in ("sub", "jti") or not math.isfinite(since or 0.0):
        raise HubError(ErrorCode.BAD_MESSAGE, "a revocation is sub:<user> or jti:<jti>")
    if not 1 <= len(value) <= MAX_ID:
        raise HubError(ErrorCode.BAD_MESSAGE, f"a {kind} has 1 to {MAX_ID} characters")
    return RevocationEntry(kind, value, since)


class Revocations:
    """What this node knows of revocations.

    An entry is ``jti:<jti>``, one token, or ``sub:<user>``, all tokens of a user that were issued up to now or do
    not say when. `iat` is by the issuer's clock, which may be ahead by the leeway that a token is given: what was
    issued up to so long after the moment is hit too.
    Where nodes tell each other, and in what they remember together, the moment is part of the entry, by
    `stamp`: heard again later, it must not hit the tokens made since. API keys are no tokens: they are taken
    back in the settings. An entry is remembered for `ttl` seconds; that a token outlives it is said in the log.
    """

    def __init__(
        self, clock: Callable[[], float], max_entries: int = MAX_ENTRIES, ttl: float = math.inf
    ) -> None:
        self._clock = clock
        self._ttl = ttl
        self._told = False
        self._max_entries = max_entries
        self.changes = 0  # how many became known: what was decided before another one may no longer hold
        self._entries: dict[str, Revocation] = {}
        self._next_prune = clock() + _PRUNE_EVERY_S

    def __len__(self) -> int:
        return len(self._entries)

    def stamp(self, entry: str) -> str:
        """The entry with this moment, unless it has one: ``sub@1767225600.0:ann``. One token needs none.

        Raises:
            HubError: ``bad_message`` where it is no entry.
        """
        parsed = parse(entry)
        if parsed.kind == "jti":
            return parsed.target
        since = self._clock() if parsed.since is None else parsed.since
        return f"sub@{since!r}:{parsed.value}"

    def add(self, entry: str, until: float) -> bool:
        """Take an entry; whether it is news.

        Of several for one user the latest moments count. One without a moment is of now, the first time.

        Raises:
            HubError: ``bad_message`` where it is no entry; ``limit`` where there are too many.
        """
        parsed = parse(entry)
        if until <= self._clock():
            return False
        self._make_room(parsed.target)
        before = self._entries.get(parsed.target)
        if before is None:
            since = self._clock() if parsed.since is None else parsed.since
            after = Revocation(since, until)
        else:
            since = before.since if parsed.since is None else parsed.since
            after = Revocation(max(since, before.since), max(until, before.until))
        self._entries[parsed.target] = after
        self.changes += after != before
        return after != before

    def is_revoked(self, token: Token) -> bool:
        """Whether the token was taken back."""
        if not self._entries or math.isinf(token.expires_at):
            return False
        if token.jti is not None and self._standing(f"jti:{token.jti}") is not None:
            return True
        user = self._standing(f"sub:{token.user}")
        return user is not None and (token.issued_at is None or token.issued_at <= user.since + LEEWAY_S)

    def check(self, token: Token) -> None:
        """Refuse a token that was taken back.

        Raises:
            HubError: ``token_invalid``.
        """
        if self.is_revoked(token):
            error = invalid("this token was revoked")
            error.user = token.user
            raise error
        if not self._told and self._ttl < token.expires_at - self._clock() < math.inf:
            self._told = True
            log.warning(
                "a token lives for %s more, longer than a revocation is remembered (HUB_REVOCATION_TTL, %s): "
                "it would be good again; HUB_MAX_TOKEN_LIFE refuses such tokens",
                span(token.expires_at - self._clock()),
                span(self._ttl),
            )

    def prune(self) -> None:
        """Forget what has ended."""
        now = self._clock()
        self._next_prune = now + _PRUNE_EVERY_S
        self._entries = {target: each for target, each in self._entries.items() if each.until > now}

    def _standing(self, target: str) -> Revocation | None:
        found = self._entries.get(target)
        return found if found is not None and found.until > self._clock() else None

    def _make_room(self, target: str) -> None:
        full = len(self._entries) >= self._max_entries and target not in self._entries
        if full or self._clock() >= self._next_prune:
            self.prune()
        if len(self._entries) >= self._max_entries and target not in self._entries:
            # Dropping one would let a revoked token in again.
            raise HubError(
                ErrorCode.LIMIT,
                f"{self._max_entries} revocations stand already",
                retry_after_ms=round(_PRUNE_EVERY_S * 1000),
            )

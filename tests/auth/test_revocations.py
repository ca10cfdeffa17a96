"""Tokens taken back."""

import pytest

from hub.auth.api_keys import ApiKey, ApiKeys
from hub.auth.claims import identity
from hub.auth.identity import Identity
from hub.auth.revocations import RevocationEntry, Revocations, parse
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError

from .conftest import NOW, Clock, good

UNTIL = NOW + 3600


def person(sub: str = "ann", iat: float | None = NOW - 1, jti: str | None = None) -> Identity:
    return identity(good(sub=sub, iat=iat, jti=jti), NOW)


def test_one_token(clock: Clock) -> None:
    revoked = Revocations(clock)
    revoked.add("jti:t1", UNTIL)
    with pytest.raises(HubError) as caught:
        revoked.check(person(jti="t1"))
    assert (caught.value.code, caught.value.reason) == (ErrorCode.TOKEN_INVALID, "this token was revoked")
    revoked.check(person(jti="t2"))
    revoked.check(person())
    revoked.check(person(sub="t1"))


@pytest.mark.parametrize(
    ("iat", "hit"), [(NOW - 1, True), (NOW, True), (NOW + 5, True), (NOW + 11, False), (None, True)]
)
def test_all_tokens_of_a_user_up_to_now(clock: Clock, iat: float | None, hit: bool) -> None:
    """An issuer's clock may be ahead by the leeway: what it made before is not to be missed."""
    revoked = Revocations(clock)
    revoked.add("sub:ann", UNTIL)
    late = identity(good(sub="ann", iat=iat), NOW + 5)
    assert revoked.is_revoked(late) is hit
    assert not revoked.is_revoked(identity(good(sub="bob", iat=iat), NOW + 5))


def test_the_moment_travels_to_other_nodes(clock: Clock) -> None:
    entry = Revocations(clock).stamp("sub:a:n@n")
    assert entry == f"sub@{NOW!r}:a:n@n"
    assert Revocations(clock).stamp(entry) == entry
    assert Revocations(clock).stamp("jti:t1") == "jti:t1"
    assert parse(entry) == RevocationEntry("sub", "a:n@n", NOW)
    clock.now += 100  # the other node hears of it later, or starts anew
    other = Revocations(clock)
    assert other.add(entry, UNTIL)
    clock.now += 100
    assert not other.add(entry, UNTIL)  # no news: nothing moves
    assert not other.add("sub:a:n@n", UNTIL)
    assert other.is_revoked(person("a:n@n", iat=NOW))
    assert not other.is_revoked(identity(good(sub="a:n@n", iat=NOW + 50), NOW + 60))


def test_of_several_the_widest_counts(clock: Clock) -> None:
    revoked = Revocations(clock)
    revoked.add(f"sub@{NOW + 5}:ann", NOW + 10)
    assert revoked.add(f"sub@{NOW - 5}:ann", NOW + 60)
    assert not revoked.add(f"sub@{NOW - 5}:ann", NOW + 5)
    assert len(revoked) == 1
    clock.now = NOW + 30
    assert revoked.is_revoked(person(iat=NOW))


def test_it_ends_with_the_tokens(clock: Clock) -> None:
    revoked = Revocations(clock)
    revoked.add("sub:ann", UNTIL)
    clock.now = UNTIL
    assert not revoked.is_revoked(person())
    assert not revoked.add("sub:cid", UNTIL)
    revoked.add("sub:bob", UNTIL + 60)
    assert len(revoked) == 1  # the ended one was swept out in passing
    clock.now = UNTIL + 60
    revoked.prune()
    assert len(revoked) == 0


def test_it_is_bounded_and_drops_nothing_that_stands(clock: Clock) -> None:
    revoked = Revocations(clock, max_entries=2)
    revoked.add("sub:a", NOW + 10)
    revoked.add("sub:b", UNTIL)
    revoked.add("sub:b", UNTIL + 1)  # the same takes no more room
    with pytest.raises(HubError) as caught:
        revoked.add("sub:c", UNTIL)
    assert caught.value.code is ErrorCode.LIMIT
    assert caught.value.retry_after_ms
    assert revoked.is_revoked(person("a"))
    clock.now = NOW + 10
    revoked.add("sub:c", UNTIL)
    assert revoked.is_revoked(person("c"))


@pytest.mark.parametrize(
    "entry", ["", "ann", "sub:", "user:ann", "sub@x:ann", "sub@nan:ann", "sub@inf:ann", "jti:" + "x" * 257]
)
def test_what_is_no_entry(clock: Clock, entry: str) -> None:
    revoked = Revocations(clock)
    for take in (revoked.stamp, lambda entry: revoked.add(entry, UNTIL)):
        with pytest.raises(HubError) as caught:
            take(entry)
        assert caught.value.code is ErrorCode.BAD_MESSAGE
    assert len(revoked) == 0


def test_a_services_key_is_no_token(clock: Clock) -> None:
    revoked = Revocations(clock)
    revoked.add("sub:billing", UNTIL)
    service = ApiKeys({"billing": ApiKey("k" * 32)}).verify("k" * 32)
    assert service is not None
    revoked.check(service)


def test_that_a_token_outlives_its_revocation_is_said_once(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    revoked = Revocations(clock, ttl=1800.0)
    for _ in range(3):
        revoked.check(person())
    assert [record.getMessage() for record in caplog.records if "HUB_REVOCATION_TTL" in record.message] == [
        "a token lives for 60 min more, longer than a revocation is remembered (HUB_REVOCATION_TTL, 30 min): "
        "it would be good again; HUB_MAX_TOKEN_LIFE refuses such tokens"
    ]
    Revocations(clock, ttl=3600.0).check(person())
    assert len(caplog.records) == 1

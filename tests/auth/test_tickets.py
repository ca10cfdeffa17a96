"""Tickets, over the registry of one process."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.auth.api_keys import ApiKey, ApiKeys
from hub.auth.claims import identity
from hub.auth.identity import Identity
from hub.auth.signing import Signer
from hub.auth.tickets import Tickets, dump, load
from hub.broker.memory.registry import MemoryRegistry
from hub.broker.memory.timers import Timers
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError

from .conftest import NOW, SECRET, Clock, good


class Shelf(MemoryRegistry):
    """The registry, with a look at what is stored."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(Timers(clock), lambda _: None)
        self.stored: dict[str, bytes] = {}

    async def put_ticket(self, digest: str, claims: bytes, ttl_s: float) -> None:
        self.stored[digest] = claims
        await super().put_ticket(digest, claims, ttl_s)


@pytest.fixture
def shelf(clock: Clock) -> Shelf:
    return Shelf(clock)


@pytest.fixture(params=["open", "sealed"])
def tickets(shelf: Shelf, clock: Clock, request: pytest.FixtureRequest) -> Tickets:
    return Tickets(shelf, clock, Signer(SECRET, "tickets") if request.param == "sealed" else None)


def ann(**more: object) -> Identity:
    hub = {
        "subscribe": ["job:*"],
        "publish": ["doc:7"],
        "presence": ["*"],
        "channels": ["job:1"],
        "info": {"a": [1]},
    }
    return identity(good(jti="t1", hub=hub, **more), NOW)


async def refusal(tickets: Tickets, ticket: str) -> HubError:
    with pytest.raises(HubError) as caught:
        await tickets.redeem(ticket)
    assert ticket == "" or ticket not in caught.value.reason
    return caught.value


async def test_good_once(tickets: Tickets, shelf: Shelf) -> None:
    ticket, expires_in = await tickets.issue(ann())
    assert expires_in == 30
    ((digest, record),) = shelf.stored.items()
    assert ticket not in digest
    assert ticket.encode() not in record
    assert await tickets.redeem(ticket) == ann()
    error = await refusal(tickets, ticket)
    assert error.code is ErrorCode.TOKEN_INVALID
    assert error.reason == "the ticket is unknown: used before, or older than 30 s"


async def test_of_many_who_try_one_gets_it(tickets: Tickets) -> None:
    ticket, _ = await tickets.issue(ann())
    results = await asyncio.gather(*(tickets.redeem(ticket) for _ in range(10)), return_exceptions=True)
    assert [each for each in results if isinstance(each, Identity)] == [ann()]


async def test_it_dies_of_age(tickets: Tickets, clock: Clock) -> None:
    ticket, _ = await tickets.issue(ann())
    clock.now += 30
    assert "older than 30 s" in (await refusal(tickets, ticket)).reason


async def test_it_outlives_no_token(tickets: Tickets, clock: Clock) -> None:
    ticket, expires_in = await tickets.issue(ann(exp=NOW + 5.5))
    assert expires_in == 5
    clock.now += 5
    assert (await refusal(tickets, ticket)).code is ErrorCode.TOKEN_INVALID
    with pytest.raises(HubError) as caught:
        await tickets.issue(ann(exp=NOW + 5.5))
    assert caught.value.code is ErrorCode.TOKEN_EXPIRED


async def test_a_store_that_keeps_too_long_is_not_believed(shelf: Shelf, clock: Clock) -> None:
    tickets = Tickets(shelf, clock)
    ticket, _ = await tickets.issue(ann())
    ((digest, record),) = shelf.stored.items()
    clock.now = NOW + 3600
    await shelf.put_ticket(digest, record, 60)
    assert (await refusal(tickets, ticket)).code is ErrorCode.TOKEN_EXPIRED


@pytest.mark.parametrize("ticket", ["", "x", "x" * 32, "é" * 32, "x" * 100_000, "\ud800" * 32])
async def test_what_is_no_ticket(tickets: Tickets, ticket: str) -> None:
    assert (await refusal(tickets, ticket)).code is ErrorCode.TOKEN_INVALID


@pytest.mark.parametrize("record", [b"", b"x", b"[]", b"{}", b'{"v":2}', b'{"v":1,"grants":[]}', b"\xff"])
async def test_a_record_that_is_rubbish(tickets: Tickets, shelf: Shelf, record: bytes) -> None:
    ticket, _ = await tickets.issue(ann())
    ((digest, _),) = shelf.stored.items()
    await shelf.put_ticket(digest, record, 30)
    assert (
        await refusal(tickets, ticket)
    ).reason == "the ticket's record can't be read: ask for another ticket"


async def test_whoever_writes_to_the_store_makes_up_nobody(shelf: Shelf, clock: Clock) -> None:
    tickets = Tickets(shelf, clock, Signer(SECRET, "tickets"))
    ticket, _ = await tickets.issue(ann())
    other, _ = await tickets.issue(replace(ann(), service=True))
    first, second = shelf.stored
    for record in (dump(replace(ann(), service=True)), shelf.stored[second]):
        await shelf.put_ticket(first, record, 30)
        assert "can't be read" in (await refusal(tickets, ticket)).reason
    assert (await tickets.redeem(other)).service


async def test_a_service_may_have_one(tickets: Tickets) -> None:
    service = ApiKeys({"billing": ApiKey("k" * 32)}).verify("k" * 32)
    assert service is not None
    ticket, _ = await tickets.issue(service)
    assert await tickets.redeem(ticket) == service


@given(
    user=st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1, max_size=20
    ),
    patterns=st.lists(st.text(max_size=8), max_size=3),
    info=st.none() | st.dictionaries(st.text(max_size=4), st.integers(-9, 9), max_size=2),
)
def test_nothing_of_an_identity_is_lost(user: str, patterns: list[str], info: object) -> None:
    hub = {"subscribe": patterns, "publish": patterns[:1], "info": info, "service": True}
    original = identity(good(sub=user, iat=None, hub=hub), NOW)
    assert load(dump(original)) == original

"""What is decided about a handshake before the upgrade, place by place (docs/protocol.md, section 2)."""

from types import SimpleNamespace
from typing import Any

import pytest

from hub.auth.addresses import TrustedProxies
from hub.auth.origins import Origins
from hub.commands.handshake import Handshaker, Upgrade, UpgradeRefused, UpgradeRequest
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.protocol.frames import Encoding
from hub.protocol.position import Position
from hub.settings import Settings


class Door:
    """A handshaker whose node says yes to every token but `wrong`, and remembers what it was asked."""

    def __init__(self, full: bool = False, **settings: Any) -> None:
        self.settings = Settings(jwt_secret="x" * 32, **settings)
        self.counters = SimpleNamespace(refused={code.value: 0 for code in ErrorCode} | {"origin": 0})
        self.admission = self.observer = self.revocations = self.tickets = self
        self.full = full
        self.asked: list[tuple[str, str]] = []
        self.turned: list[HubError] = []

    async def admit(self, address: str, *, returning: bool) -> None:
        self.asked.append(("admit", address))
        if self.full:
            raise HubError(ErrorCode.UNAVAILABLE, "this node is full")

    async def verify(self, token: str) -> str:
        self.asked.append(("token", token))
        if token == "wrong":
            raise HubError(ErrorCode.TOKEN_INVALID, "the signature is wrong")
        return token

    async def redeem(self, ticket: str) -> str:
        self.asked.append(("ticket", ticket))
        return ticket

    def check(self, identity: str) -> None:
        self.asked.append(("revoked?", identity))

    def returning(self, _resume: str, _user: str) -> None:
        return None

    def turned_away(self, _stranger: Any, error: HubError) -> None:
        self.turned.append(error)

    async def __call__(self, query: str = "", offered: tuple[str, ...] = (), **headers: str) -> Upgrade:
        made: Any = self
        handshaker = Handshaker(made, made, Origins(["https://good.example"]), TrustedProxies(["10.0.0.0/8"]))
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await handshaker.decide(UpgradeRequest(query, named, offered, "10.0.0.7", True))


async def refused(door: Door, *args: Any, **headers: Any) -> UpgradeRefused:
    with pytest.raises(UpgradeRefused) as error:
        await door(*args, **headers)
    return error.value


@pytest.mark.parametrize(
    ("offered", "chosen", "encoding"),
    [
        ((), None, Encoding.JSON),
        (("hub.v1.msgpack",), "hub.v1.msgpack", Encoding.MSGPACK),
        (("hub.v1.json", "hub.v1.msgpack"), "hub.v1.json", Encoding.JSON),
        (("graphql", "hub.v1.msgpack", "hub.v1.json"), "hub.v1.msgpack", Encoding.MSGPACK),
        (("hub.token.t", "hub.v1.json"), "hub.v1.json", Encoding.JSON),
    ],
)
async def test_the_first_of_the_clients_that_is_spoken(
    offered: tuple[str, ...], chosen: str | None, encoding: Encoding
) -> None:
    entry = await Door()("", offered)
    assert (entry.subprotocol, entry.encoding, entry.console) == (chosen, encoding, chosen is None)


@pytest.mark.parametrize(
    ("offered", "words"),
    [(("graphql",), "none of the offered"), (("hub.token.t",), "beside a real subprotocol")],
)
async def test_only_unknown_ones_are_refused(offered: tuple[str, ...], words: str) -> None:
    error = await refused(Door(), "", offered)
    assert (error.status, error.error.code) == (400, ErrorCode.BAD_MESSAGE)
    assert words in error.error.reason


@pytest.mark.parametrize(
    ("query", "offered", "headers", "asked"),
    [
        ("", (), {}, []),
        ("token=q", (), {}, [("token", "q")]),
        ("ticket=k&token=q", (), {}, [("ticket", "k"), ("revoked?", "k")]),
        ("ticket=k&token=q", ("hub.v1.json", "hub.token.s"), {}, [("token", "s")]),
        ("ticket=k", ("hub.v1.json", "hub.token.s"), {"authorization": "bearer  h "}, [("token", "h")]),
        ("token=q", (), {"authorization": "Basic eA=="}, [("token", "q")]),
    ],
    ids=["as the first message", "query", "ticket", "subprotocol", "header", "another scheme"],
)
async def test_who_it_is_stands_in_the_first_place_that_is_there(
    query: str, offered: tuple[str, ...], headers: dict[str, str], asked: list[tuple[str, str]]
) -> None:
    door = Door(query_token=True)
    entry = await door(query, offered, **headers)
    assert door.asked == [("admit", "10.0.0.7"), *asked]
    identity: Any = entry.identity
    assert identity == (asked[-1][1] if asked else None)


async def test_tokens_in_the_query_can_be_switched_off() -> None:
    door = Door(query_token=False)
    error = await refused(door, "token=q")
    assert error.error.code is ErrorCode.UNAUTHENTICATED
    assert door.asked == [("admit", "10.0.0.7")], "it is not even looked at"


async def test_a_full_node_looks_at_no_token() -> None:
    door = Door(full=True)
    error = await refused(door, "token=q")
    assert (error.status, door.asked) == (503, [("admit", "10.0.0.7")])
    assert door.counters.refused["unavailable"] == 1


async def test_a_browser_is_upgraded_and_told_others_by_http() -> None:
    door = Door(query_token=True)
    entry = await door("token=wrong", origin="https://good.example")
    assert entry.error is not None
    assert (entry.error.code, entry.identity, door.turned) == (ErrorCode.TOKEN_INVALID, None, [])
    error = await refused(door, "token=wrong")
    assert (error.status, error.error.code) == (401, ErrorCode.TOKEN_INVALID)
    assert door.turned == [error.error]
    assert door.counters.refused["token_invalid"] == 2


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
async def test_a_foreign_page_is_refused_before_anything_else(origin: str) -> None:
    door = Door()
    error = await refused(door, "token=q", origin=origin)
    assert (error.status, error.error.code, door.asked) == (403, ErrorCode.FORBIDDEN, [])
    assert door.counters.refused["origin"] == 1
    assert [each.code for each in door.turned] == [ErrorCode.FORBIDDEN]


async def test_positions_come_along_and_wrong_ones_are_said() -> None:
    entry = await Door()("since=doc:1@k3f9:12&since=job:2@e:0&resume=r")
    assert entry.since == {"doc:1": Position("k3f9", 12), "job:2": Position("e", 0)}
    assert entry.resume == "r"
    error = await refused(Door(), "since=doc:1")
    assert error.error.code is ErrorCode.BAD_MESSAGE


async def test_behind_a_trusted_proxy_the_address_is_the_clients() -> None:
    door = Door()
    entry = await door("", x_forwarded_for="192.0.2.9")
    assert (entry.address, door.asked) == ("192.0.2.9", [("admit", "192.0.2.9")])

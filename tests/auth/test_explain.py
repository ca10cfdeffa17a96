"""What a person is told of a token."""

from hub.auth.explain import explain
from hub.auth.keys import StaticKeys
from hub.auth.tokens import Authenticator

from .conftest import NOW, SECRET, Clock, good, token


def checker(clock: Clock) -> Authenticator:
    return Authenticator(StaticKeys(secret=SECRET), ["HS256"], clock=clock)


async def test_a_good_token(clock: Clock) -> None:
    hub = {
        "subscribe": ["job:*"],
        "publish": [],
        "presence": [],
        "channels": ["job:42"],
        "info": {"name": "Ann"},
        "service": True,
        "subscibe": ["x"],
    }
    assert await explain(checker(clock), token(good(hub=hub), kid="k1"), NOW) == [
        "valid: speaks for ann, and expires 2026-01-01 01:00:00 UTC (in 60 min)",
        "algorithm HS256, key k1",
        "may subscribe to job:*, and user:ann as one's own",
        "may publish to no channel",
        "may see presence of no channel",
        "is subscribed by the server to job:42",
        'shows in presence {"name":"Ann"}',
        "is a service: may disconnect, revoke, drain, and publish without `from`",
        "claim hub.subscibe is unknown and ignored",
    ]


async def test_a_user_without_a_channel(clock: Clock) -> None:
    lines = await explain(checker(clock), token(good(sub="two words")), NOW)
    assert "may subscribe to no channel" in lines


async def test_a_refused_token(clock: Clock) -> None:
    lines = await explain(checker(clock), token(good(exp=NOW - 7200)), NOW)
    assert lines[0] == "refused (token_expired): the token expired 2 h ago (claim exp)"
    assert lines[1] == "algorithm HS256, no key named (kid)"
    assert '  sub: "ann"' in lines


async def test_no_token_at_all(clock: Clock) -> None:
    assert await explain(checker(clock), "rubbish", NOW) == [
        "refused (token_invalid): this is neither an API key of this hub nor a token (three parts joined by dots)"
    ]

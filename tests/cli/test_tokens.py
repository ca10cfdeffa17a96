"""``hub token`` and ``hub explain-token``."""

from pathlib import Path

import jwt
import pytest

from hub.cli.failure import Failure
from hub.cli.tokens import span

from .command import hub

SECRET = "s" * 64


def test_a_token_has_the_grants_that_were_asked_for(tmp_path: Path) -> None:
    result = hub(
        *("token", "--user", "ann", "--subscribe", "job:*", "doc:7", "--subscribe", "user:bob"),
        *("--publish", "doc:7", "--presence", "doc:*", "--channels", "job:1", "--info", '{"name":"Ann"}'),
        *("--service", "--ttl", "15m"),
        folder=tmp_path,
        jwt_secret=SECRET,
        jwt_issuer="me",
        jwt_audience="hub",
        jwt_algorithms='["RS256","HS512"]',
        jwks_url="https://issuer.example/jwks",
    )
    assert (result.status, result.err) == (0, "")
    claims = jwt.decode(result.out.strip(), SECRET, ["HS512"], audience="hub", issuer="me")
    assert claims["hub"] == {
        "subscribe": ["job:*", "doc:7", "user:bob"],
        "publish": ["doc:7"],
        "presence": ["doc:*"],
        "channels": ["job:1"],
        "info": {"name": "Ann"},
        "service": True,
    }
    assert claims["exp"] - claims["iat"] == 900
    assert len(claims["jti"]) == 16


@pytest.mark.parametrize(
    ("args", "settings", "words"),
    [
        ((), {"jwt_secret": ""}, "HUB_JWT_SECRET"),
        ((), {"jwks_url": "https://issuer.example/jwks", "jwt_secret": ""}, "another issuer"),
        ((), {"jwt_secret": "short"}, "can be guessed"),
        ((), {"jwt_algorithms": '["RS256"]'}, "HUB_JWT_ALGORITHMS allows no tokens by a secret"),
        (("--ttl", "soon"), {}, "--ttl is a number"),
        (("--info", "{"), {}, "--info: "),
        (("--channels", "job"), {}, "there is no colon in it"),
        (("--publish",), {}, "--publish needs a channel"),
        (("--for-channel", "job"), {}, "there is no colon in it"),
        (("--for-channel", "doc:*"), {}, "the character * is not allowed"),
        (("--for-channel", "doc:7", "--subscribe", "doc:8"), {}, "--subscribe has no place"),
        (("--for-channel", "doc:7", "--publish", "doc:8"), {}, "--publish stands alone"),
    ],
)
def test_what_it_cannot_sign_is_one_line(
    args: tuple[str, ...], settings: dict[str, str], words: str, tmp_path: Path
) -> None:
    result = hub("token", "--user", "ann", *args, folder=tmp_path, **{"jwt_secret": SECRET, **settings})
    assert (result.status, result.out) == (1, "")
    (line,) = result.err.splitlines()
    assert words in line


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("1h", 3600), ("7d", 604_800), ("5", 5)]
)
def test_spans(text: str, seconds: int) -> None:
    assert span(text) == seconds


@pytest.mark.parametrize("text", ["", "0s", "-1h", "1.5h", "1w", "h", "9999999999s"])
def test_spans_that_are_none(text: str) -> None:
    with pytest.raises(Failure):
        span(text)


def test_explaining_says_whether_it_is_good_and_what_it_allows(tmp_path: Path) -> None:
    token = hub("token", "--user", "ann", "--subscribe", "job:*", folder=tmp_path, jwt_secret=SECRET).out
    good = hub("explain-token", "-", folder=tmp_path, stdin=token, jwt_secret=SECRET)
    assert good.status == 0
    assert good.out.startswith("valid: speaks for ann, and expires ")
    assert "may subscribe to job:*, and user:ann as one's own" in good.out
    other = hub("explain-token", token.strip(), folder=tmp_path, jwt_secret="o" * 32)
    assert other.status == 1
    assert other.out.startswith("refused (token_invalid): the signature does not match")
    nobody = hub("explain-token", token.strip(), folder=tmp_path)
    assert nobody.status == 1
    assert nobody.out.startswith("refused (token_invalid): the hub has no key to check tokens with")
    assert hub("explain-token", "no-token", folder=tmp_path, jwt_secret=SECRET).status == 1


def test_a_token_for_one_channel(tmp_path: Path) -> None:
    given = ("--for-channel", "doc:7", "--publish", "--info", '{"name":"Ann"}')
    result = hub("token", "--user", "ann", *given, folder=tmp_path, jwt_secret=SECRET)
    assert (result.status, result.err) == (0, "")
    claims = jwt.decode(result.out.strip(), SECRET, ["HS256"])
    assert (claims["sub"], claims["channel"]) == ("ann", "doc:7")
    assert claims["hub"] == {"publish": True, "info": {"name": "Ann"}}
    told = hub("explain-token", result.out.strip(), folder=tmp_path, jwt_secret=SECRET)
    assert told.status == 0
    assert "is a channel token: it goes with subscribe, and may subscribe to doc:7, nothing else" in told.out
    assert "may publish to doc:7" in told.out
    assert "presence in doc:7" not in told.out

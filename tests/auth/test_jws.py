"""The compact form, taken apart strictly."""

import base64
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.auth import jws
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError

from .conftest import SECRET, good, raw, token


def test_reads_what_pyjwt_writes() -> None:
    parsed = jws.parse(token(good(), kid="k1"))
    assert parsed.algorithm == "HS256"
    assert parsed.kid == "k1"
    assert jws.claims(parsed) == good()
    header, payload, signature = token(good(), kid="k1").split(".")
    assert parsed.message == f"{header}.{payload}".encode()
    assert parsed.signature == base64.urlsafe_b64decode(signature + "==")


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=5))
def test_agrees_with_pyjwt(claims: dict[str, str]) -> None:
    text = jwt.PyJWS().encode(json.dumps(claims).encode(), SECRET, "HS256")
    theirs = jwt.PyJWS().decode_complete(text, SECRET, ["HS256"])
    ours = jws.parse(text)
    assert (ours.header, ours.payload, ours.signature) == (
        theirs["header"],
        theirs["payload"],
        theirs["signature"],
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("abc", "this is neither an API key of this hub nor a token (three parts joined by dots)"),
        ("a.b", "a token is three parts joined by dots, and this has 2"),
        (
            "a.b.c.d.e",
            "the token is encrypted (JWE, five parts); the hub takes signed ones (JWS, three parts)",
        ),
        ("Bearer a.b.c", "the word Bearer stands before the token and is no part of it"),
        ("YWJj.YWJj.YWJj\n", "there is white space around the token"),
        ("..", "a part of the token is empty or holds characters outside base64url"),
        ("YW+j.YWJj.YWJj", "a part of the token is empty or holds characters outside base64url"),
        ("YW=j.YWJj.YWJj", "a part of the token is empty or holds characters outside base64url"),
        ("YWJjY.YWJj.YWJj", "the token's header is cut off: no base64url has this length"),
        ("YWJj.YWJj.YWJj", "the token's header is no JSON"),
        (raw([], {}), "the token's header is no JSON object"),
        (raw({}, {}), "the token's header names no algorithm (alg)"),
        (raw({"alg": 5}, {}), "the token's header names no algorithm (alg)"),
        (raw({"alg": "HS256", "kid": 5}, {}), "the token's header kid must be a string"),
        (
            raw({"alg": "HS256", "crit": ["b64"], "b64": False}, {}),
            "the token's header demands extensions (crit) that the hub does not have",
        ),
        ("a" * 16385, "the token is longer than 16384 bytes"),
    ],
)
def test_what_is_wrong_is_said(text: str, reason: str) -> None:
    with pytest.raises(HubError) as caught:
        jws.parse(text)
    assert caught.value.code is ErrorCode.TOKEN_INVALID
    assert caught.value.reason == reason


def test_no_token() -> None:
    with pytest.raises(HubError) as caught:
        jws.parse("")
    assert caught.value.code is ErrorCode.UNAUTHENTICATED


@pytest.mark.parametrize("payload", [[], "x", 5, None])
def test_claims_must_be_an_object(payload: object) -> None:
    with pytest.raises(HubError, match="payload is no JSON object"):
        jws.claims(jws.parse(raw({"alg": "HS256"}, payload)))


@given(st.text(max_size=60) | st.from_regex(r"[A-Za-z0-9_-]{1,9}\.[A-Za-z0-9_-]{1,9}\.[A-Za-z0-9_-]{0,9}"))
def test_no_text_breaks_it(text: str) -> None:
    with pytest.raises(HubError):
        jws.claims(jws.parse(text))

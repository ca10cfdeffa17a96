"""Every claim, right and wrong, with the exact words."""

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.auth.api_keys import ApiKey, ApiKeys
from hub.auth.claims import check_addressed, identity
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError

from .conftest import NOW, good


def test_all_claims_arrive() -> None:
    hub = {
        "subscribe": ["job:*", "doc:7"],
        "publish": ["doc:7"],
        "presence": ["doc:*"],
        "channels": ["user:ann", "job:42", "user:ann"],
        "info": {"name": "Ann"},
        "service": True,
    }
    found = identity(good(jti="t1", hub=hub), NOW)
    assert (found.user, found.name, found.jti) == ("ann", "ann", "t1")
    assert (found.expires_at, found.issued_at) == (NOW + 3600, NOW)
    assert found.channels == ("user:ann", "job:42")
    assert found.info == b'{"name":"Ann"}'
    assert found.service is True
    assert found.may_subscribe("job:9")
    assert found.may_subscribe("user:ann")
    assert not found.may_subscribe("user:bob")
    assert found.may_publish("doc:7")
    assert not found.may_publish("job:9")
    assert found.may_presence("doc:8")


def test_the_least_token_grants_ones_own_channel_only() -> None:
    found = identity({"sub": "ann", "exp": NOW + 1}, NOW)
    assert (found.service, found.info, found.jti, found.issued_at, found.channels) == (
        False,
        None,
        None,
        None,
        (),
    )
    assert found.may_subscribe("user:ann")
    assert not found.may_subscribe("job:1")


def test_a_service_without_grants_may_do_all_and_with_some_only_those() -> None:
    free = identity(good(hub={"service": True}), NOW)
    assert free.may_publish("job:1")
    assert free.may_subscribe("user:bob")
    assert free.may_presence("doc:1")
    bound = identity(good(hub={"service": True, "publish": ["job:*"], "subscribe": []}), NOW)
    assert bound.may_publish("job:1")
    assert not bound.may_publish("doc:1")
    assert not bound.may_subscribe("job:1")
    assert not identity(good(hub={"service": False}), NOW).may_publish("job:1")


def test_equal_grants_are_one_object() -> None:
    first = identity(good(hub={"subscribe": ["job:*"]}), NOW)
    second = identity(good(sub="bob", hub={"subscribe": ["job:*"]}), NOW)
    assert first.grants is second.grants


def test_an_identity_is_small() -> None:
    """Thousands of connections hold one; the raw result of orjson alone would be 4 KiB."""
    hub = {"subscribe": ["job:*"], "channels": ["job:42"], "info": {"name": "Ann"}}
    identity(good(hub=hub), NOW)  # what is shared exists now
    tracemalloc.start()
    kept = [identity(good(sub=f"user{at}", hub=hub), NOW) for at in range(100)]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size / len(kept) < 1200


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"sub": None}, "claim sub is missing"),
        ({"sub": 7}, "claim sub must be a string"),
        ({"sub": ""}, "claim sub must have 1 to 256 characters"),
        ({"sub": "x" * 257}, "claim sub must have 1 to 256 characters"),
        ({"exp": None}, "claim exp is missing"),
        ({"exp": "soon"}, "claim exp must be a number of seconds since 1970"),
        ({"exp": True}, "claim exp must be a number of seconds since 1970"),
        (
            {"exp": NOW * 1000},
            "claim exp must be in seconds since 1970, and this is out of range (milliseconds?)",
        ),
        ({"exp": -1}, "claim exp must be in seconds since 1970, and this is out of range (milliseconds?)"),
        ({"nbf": NOW + 11}, "the token is not valid before 11 s from now (claim nbf)"),
        ({"nbf": [1]}, "claim nbf must be a number of seconds since 1970"),
        ({"iat": NOW + 600}, "the token was issued 10 min in the future (claim iat)"),
        ({"jti": 5}, "claim jti must be a string"),
        ({"jti": ""}, "claim jti must have 1 to 256 characters"),
        ({"hub": []}, "claim hub must be an object"),
        ({"hub": {"subscribe": "job:*"}}, "claim hub.subscribe must be a list of strings"),
        ({"hub": {"publish": [1]}}, "claim hub.publish must be a list of strings"),
        ({"hub": {"presence": {}}}, "claim hub.presence must be a list of strings"),
        ({"hub": {"channels": "user:ann"}}, "claim hub.channels must be a list of strings"),
        (
            {"hub": {"channels": ["user:ann", "job:*"]}},
            "claim hub.channels[1]: the character * is not allowed in a channel name",
        ),
        (
            {"hub": {"info": "x" * 4095}},
            "claim hub.info has 4097 bytes of JSON; 4096 are allowed",
        ),
        ({"hub": {"service": 1}}, "claim hub.service must be true or false"),
    ],
)
def test_what_is_wrong_is_said(claims: dict[str, Any], reason: str) -> None:
    with pytest.raises(HubError) as caught:
        identity(good(**claims), NOW)
    assert caught.value.code is ErrorCode.TOKEN_INVALID
    assert caught.value.reason == reason


def test_expiry_has_no_leeway_and_the_issuers_clock_has() -> None:
    with pytest.raises(HubError) as caught:
        identity(good(), NOW + 3600)
    assert caught.value.code is ErrorCode.TOKEN_EXPIRED
    assert caught.value.reason == "the token expired 0 s ago (claim exp)"
    with pytest.raises(HubError, match="expired 2 h ago"):
        identity(good(), NOW + 3600 + 7200)
    assert identity(good(iat=NOW + 10, nbf=NOW + 10), NOW).user == "ann"
    assert identity(good(iat=NOW + 60), NOW, leeway=60).user == "ann"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({}, "claim iss is missing; it must be https://id.example"),
        ({"iss": "https://evil.example"}, "claim iss is not https://id.example"),
        ({"iss": ["https://id.example"], "aud": "hub"}, "claim iss is not https://id.example"),
        ({"iss": "https://id.example"}, "claim aud is missing; it must name hub"),
        ({"iss": "https://id.example", "aud": "hubs"}, "claim aud does not name hub"),
        ({"iss": "https://id.example", "aud": ["a", 7]}, "claim aud does not name hub"),
    ],
)
def test_addressed_to_another(claims: dict[str, Any], reason: str) -> None:
    with pytest.raises(HubError) as caught:
        check_addressed(claims, "https://id.example", "hub")
    assert caught.value.reason == reason


@pytest.mark.parametrize("audience", ["hub", ["other", "hub"]])
def test_addressed_to_this_hub(audience: Any) -> None:
    check_addressed({"iss": "https://id.example", "aud": audience}, "https://id.example", "hub")
    check_addressed({"aud": "another"}, None, None)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["subscribe", "publish", "presence", "channels", "info", "service"]


@given(
    claims=st.fixed_dictionaries(
        {}, optional=dict.fromkeys(["sub", "exp", "nbf", "iat", "jti", "hub"], JSON)
    ),
    hub=st.none() | st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JSON)),
)
def test_no_claims_break_it(claims: dict[str, Any], hub: dict[str, Any] | None) -> None:
    if hub is not None:
        claims = {"sub": "ann", "exp": NOW + 1, **claims, "hub": hub}
    try:
        found = identity(claims, NOW)
    except HubError as error:
        refused_with = error.code
    else:
        assert found.user
        assert found.expires_at > NOW
        return
    assert refused_with in (ErrorCode.TOKEN_INVALID, ErrorCode.TOKEN_EXPIRED)


@pytest.mark.parametrize("bad", ["boss\0evil", "a\x1b[2J", "a\nb", "a\x9b1m", "a\u2028b", "\ud800"])
def test_a_user_holds_no_control_characters(bad: str) -> None:
    with pytest.raises(HubError, match="claim sub holds control characters"):
        identity(good(sub=bad), NOW)
    assert identity(good(sub="Zoë van 't Hoff 🦊"), NOW).user == "Zoë van 't Hoff 🦊"


def test_no_sub_has_the_event_ids_of_an_api_key() -> None:
    """Nor of another sub that is written so."""
    names = [identity(good(sub=sub), NOW).name for sub in ("backend", "key:backend", "token:key:backend")]
    service = ApiKeys({"backend": ApiKey("k" * 32)}).verify("k" * 32)
    assert service is not None
    assert len({service.name, *names}) == 4
    assert names[0] == "backend"


@pytest.mark.parametrize("depth", [300, 2000])
def test_info_that_is_nested_too_deep_is_said(depth: int) -> None:
    info: Any = 1
    for _ in range(depth):
        info = [info]
    with pytest.raises(HubError, match=r"claim hub\.info is nested too deep"):
        identity(good(hub={"info": info}), NOW)

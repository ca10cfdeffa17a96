"""Keys of services."""

import math

from hub.auth.api_keys import ApiKeys

KEY = "0123456789abcdef0123456789abcdef"


def test_a_service_by_its_key() -> None:
    keys = ApiKeys({"billing": KEY, "jobs": KEY[::-1]})
    assert keys.problems() == []
    found = keys.verify(KEY)
    assert found is not None
    assert (found.user, found.name, found.service) == ("billing", "key:billing", True)
    assert found.expires_at == math.inf
    assert found.issued_at is None
    assert found.may_publish("job:1")
    assert found.may_subscribe("user:anyone")
    assert found.may_presence("doc:1")
    other = keys.verify(KEY[::-1])
    assert other is not None
    assert other.user == "jobs"


def test_nobodys_key() -> None:
    keys = ApiKeys({"billing": KEY})
    for guess in ("", KEY[:-1], KEY + "0", KEY.upper(), "é", "\ud800", "x" * 100_000):
        assert keys.verify(guess) is None
    assert ApiKeys({}).verify("") is None


def test_problems_in_words() -> None:
    keys = ApiKeys({"a": "short", "b": KEY, "c": KEY, "": KEY[::-1]})
    assert keys.problems() == [
        "the API key a is too short; it needs 16 bytes or more",
        "the API keys b and c are the same",
        "an API key has no name",
    ]
    assert keys.verify("short") is None
    assert "short" not in keys.problems()[1]


def test_keys_are_not_kept() -> None:
    keys = ApiKeys({"billing": KEY})
    assert KEY not in repr(vars(keys))

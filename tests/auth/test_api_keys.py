"""Keys of services."""

import math

from hub.auth.api_keys import ApiKey, ApiKeys
from hub.auth.identity import Level

KEY = "0123456789abcdef0123456789abcdef"


def plain(keys: dict[str, str]) -> ApiKeys:
    return ApiKeys({name: ApiKey(key) for name, key in keys.items()})


def test_a_key_that_names_its_rights_has_no_others() -> None:
    keys = ApiKeys(
        {
            "worker": ApiKey(KEY, {"publish": ["job:*"]}),
            "ops": ApiKey(KEY[::-1], {}, Level.READ),
        }
    )
    worker, ops = keys.verify(KEY), keys.verify(KEY[::-1])
    assert worker is not None
    assert ops is not None
    assert worker.service
    assert worker.may_publish("job:1")
    assert not worker.may_publish("doc:1")
    assert not worker.may_subscribe("job:1")
    assert (worker.control, worker.admin) == (Level.NONE, Level.NONE)
    assert (ops.control, ops.admin) == (Level.READ, Level.READ)
    assert ops.may_subscribe("hub:nodes")
    assert not ops.may_publish("hub:nodes")
    assert KEY not in repr(ApiKey(KEY))


def test_the_plain_form_is_no_admin_for_what_is_new() -> None:
    found = plain({"a": KEY}).verify(KEY)
    assert found is not None
    assert (found.control, found.admin) == (Level.WRITE, Level.NONE)
    assert not found.may_subscribe("hub:nodes")


def test_a_service_by_its_key() -> None:
    keys = plain({"billing": KEY, "jobs": KEY[::-1]})
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
    keys = plain({"billing": KEY})
    for guess in ("", KEY[:-1], KEY + "0", KEY.upper(), "é", "\ud800", "x" * 100_000):
        assert keys.verify(guess) is None
    assert ApiKeys({}).verify("") is None


def test_problems_in_words() -> None:
    keys = plain({"a": "short", "b": KEY, "c": KEY, "": KEY[::-1]})
    assert keys.problems() == [
        "the API key a is too short; it needs 16 bytes or more",
        "the API keys b and c are the same",
        "an API key has no name",
    ]
    assert keys.verify("short") is None
    assert "short" not in keys.problems()[1]


def test_keys_are_not_kept() -> None:
    keys = plain({"billing": KEY})
    assert KEY not in repr(vars(keys))

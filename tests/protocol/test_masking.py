"""Hidden values: nothing of them is left, the rest is as it was."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from hub.protocol.masking import blanked, masked

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet="secret", min_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)


@given(JSON)
def test_a_blanked_document_shows_no_value(document: object) -> None:
    text = repr(blanked({"document": document})).replace("<number>", "").replace(" characters>", "")
    assert not any(part in text for part in ("ecr", "ret", "sec", "tes", "cre", "see", "rrr", "ttt", "ccc"))


def test_paths_go_through_lists() -> None:
    document = {"payload": {"cards": [{"number": "4111", "month": 1}, {"number": "4222"}], "email": "a@b"}}
    assert masked(document, ["payload.cards.number", "payload.email", "payload.none.at.all"]) == {
        "payload": {"cards": [{"month": 1}, {}]}
    }
    assert document["payload"]["email"] == "a@b", "the original stands"


def test_a_hash_tells_equal_values_from_others() -> None:
    def number(value: object) -> object:
        return masked({"n": value}, ["n"], "hash")["n"]

    assert number("4111") == number("4111") != number("4222")
    assert "4111" not in orjson.dumps(number("4111")).decode()


def test_depth_is_bounded() -> None:
    deep: object = 1
    for _ in range(500):
        deep = [deep]
    assert "deeper" in repr(blanked(deep))

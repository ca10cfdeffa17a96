"""The grammar of channel names, and of positions."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.protocol.channels import is_channel, namespace_of
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.protocol.position import MAX_OFFSET, Position

FIRST = string.ascii_lowercase
FURTHER = FIRST + string.digits + "_-"
REST = "".join(chr(n) for n in range(33, 127) if chr(n) not in "*/\\?#%{}")


@given(
    st.text(FIRST, min_size=1, max_size=1),
    st.text(FURTHER, max_size=31),
    st.text(REST, min_size=1, max_size=200),
)
def test_what_is_inside_the_grammar(first: str, further: str, rest: str) -> None:
    assert namespace_of(f"{first}{further}:{rest}") == first + further


@given(st.text(max_size=40))
def test_the_grammar_is_exactly_this(text: str) -> None:
    namespace, colon, rest = text.partition(":")
    inside = (
        colon == ":"
        and 1 <= len(namespace) <= 32
        and namespace[0] in FIRST
        and set(namespace) <= set(FURTHER)
        and 1 <= len(rest) <= 200
        and set(rest) <= set(REST)
    )
    assert is_channel(text) is inside


@pytest.mark.parametrize(
    "name",
    [
        "",
        ":",
        "job",
        "job:",
        ":42",
        "Job:42",
        "1job:42",
        "j" * 33 + ":1",
        "job:" + "x" * 201,
        "job:a b",
        "job:a\n",
        "job:a\x00",
        "job:\x7f",
        "job:é",
        "jöb:1",
        *(f"job:a{char}b" for char in "*/\\?#%{}"),
    ],
)
def test_what_is_outside_of_it(name: str) -> None:
    with pytest.raises(HubError) as refused:
        namespace_of(name)
    assert refused.value.code is ErrorCode.BAD_CHANNEL
    assert refused.value.reason


@given(st.from_regex(r"\A[A-Za-z0-9_-]{1,32}\Z"), st.integers(0, MAX_OFFSET))
def test_a_position_reads_back(epoch: str, offset: int) -> None:
    position = Position(epoch, offset)
    assert Position.parse(str(position)) == position
    assert Position.checked(epoch, offset) == position


@given(st.text(max_size=30))
def test_any_text_is_a_position_or_is_refused(text: str) -> None:
    try:
        position = Position.parse(text)
    except HubError as error:
        assert error.code is ErrorCode.BAD_MESSAGE  # noqa: PT017
    else:
        assert 0 <= position.offset <= MAX_OFFSET

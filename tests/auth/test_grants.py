"""Patterns against a matcher too simple to be wrong."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.auth.grants import EVERYTHING, NOTHING, Pattern, pattern

LETTERS = st.text(alphabet="ab:*.[]+", max_size=9)
NAMES = st.text(alphabet="ab:.[]+", max_size=9)


def naive(pattern: str, name: str) -> bool:
    """Every way that a star could be filled."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(naive(pattern[1:], name[at:]) for at in range(len(name) + 1))
    return bool(name) and name[0] == pattern[0] and naive(pattern[1:], name[1:])


@given(patterns=st.lists(LETTERS, max_size=4), name=NAMES)
def test_agrees_with_the_naive_matcher(patterns: list[str], name: str) -> None:
    assert Pattern(patterns).matches(name) == any(naive(each, name) for each in patterns)


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        (["job:*"], "job:42", True),
        (["job:*"], "jobs:42", False),
        (["job:4.*"], "job:42", False),
        (["job:[42]"], "job:4", False),
        (["job:42"], "JOB:42", False),
        (["*:42"], "job:42", True),
        (["a*a"], "a", False),
        (["a*a"], "aa", True),
        (["job:*:log:*:end"], "job:1:log:log:2:end", True),
        (["job:*:log:*:end"], "job:1:log:end", False),
        (["doc:7", "job:*"], "doc:7", True),
        ([""], "job:1", False),
        ([], "job:1", False),
        (["**"], "anything", True),
        (["job:*"], "job:\n", True),
    ],
)
def test_examples(patterns: list[str], name: str, expected: bool) -> None:
    assert Pattern(patterns).matches(name) is expected


def test_a_hostile_pattern_is_matched_in_linear_time() -> None:
    hostile = Pattern(["*a" * 4000 + "b"])
    started = time.process_time()
    assert not hostile.matches("a" * 8000)
    assert time.process_time() - started < 0.5  # a backtracking matcher would not end in this universe


def test_keeps_what_it_was_made_of_and_is_shared() -> None:
    assert Pattern(["b:1", "a:*", "b:1"]).patterns == ("b:1", "a:*")
    assert pattern(("a:*", "b")) is pattern(("a:*", "b"))
    assert Pattern(["a"]) == Pattern(["a"])
    assert hash(Pattern(["a"])) == hash(Pattern(["a"]))
    assert Pattern(["a"]) != Pattern(["b"])
    assert "a:*" in repr(Pattern(["a:*"]))
    assert EVERYTHING.matches("job:1")
    assert not NOTHING.matches("job:1")
    assert not NOTHING
    assert not hasattr(Pattern([]), "__dict__")

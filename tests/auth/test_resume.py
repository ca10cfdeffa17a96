"""The resume value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.auth.resume import ResumeTokens, Returning
from hub.auth.signing import Signer

from .conftest import SECRET, Clock


@pytest.fixture
def tokens(clock: Clock) -> ResumeTokens:
    return ResumeTokens(Signer(SECRET, "resume"), clock)


def test_any_node_with_the_secret_can_check(tokens: ResumeTokens, clock: Clock) -> None:
    text = tokens.issue("c_9f0123456789abcd", "n_1a0123456789", "ann")
    assert len(text) < 90
    assert "ann" not in text
    other = ResumeTokens(Signer(SECRET, "resume"), clock)
    assert other.check(text, "ann") == Returning("c_9f0123456789abcd", "n_1a0123456789")


def test_not_for_another_user_or_from_another_hub(tokens: ResumeTokens, clock: Clock) -> None:
    text = tokens.issue("c_1", "n_1", "ann")
    assert tokens.check(text, "bob") is None
    assert tokens.check(text, "") is None
    foreign = ResumeTokens(Signer(SECRET + "x", "resume"), clock)
    assert foreign.check(text, "ann") is None
    assert tokens.check(foreign.issue("c_1", "n_1", "ann"), "ann") is None


def test_for_a_day(tokens: ResumeTokens, clock: Clock) -> None:
    text = tokens.issue("c_1", "n_1", "ann")
    clock.now += 86_399
    assert tokens.check(text, "ann") is not None
    clock.now += 1
    assert tokens.check(text, "ann") is None


def test_longer_than_any_of_them(tokens: ResumeTokens) -> None:
    assert tokens.check(tokens.issue("c_" + "1" * 250, "n_1", "ann"), "ann") is None


def test_of_another_version(tokens: ResumeTokens) -> None:
    signer = Signer(SECRET, "resume")
    for payload in (b"", b"\x02\0\0\0\0\x01cn", b"\x01"):
        assert tokens.check(signer.sign(payload, b"ann"), "ann") is None


@given(st.text(max_size=300))
def test_no_text_breaks_it(text: str) -> None:
    assert ResumeTokens(Signer(SECRET, "resume"), Clock()).check(text, "ann") is None


@given(user=st.text(max_size=30))
def test_any_user(user: str) -> None:
    tokens = ResumeTokens(Signer(SECRET, "resume"), Clock())
    assert tokens.check(tokens.issue("c_1", "n_1", user), user) == Returning("c_1", "n_1")

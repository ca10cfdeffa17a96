"""Signed bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.auth.signing import Signer

from .conftest import SECRET


@given(payload=st.binary(max_size=80), context=st.binary(max_size=20))
def test_comes_back(payload: bytes, context: bytes) -> None:
    signer = Signer(SECRET, "resume")
    text = signer.sign(payload, context)
    assert text.isascii()
    assert "=" not in text
    assert signer.verify(text, context) == payload
    assert signer.verify(text, context + b"x") is None
    assert Signer(SECRET.encode(), "resume").verify(text, context) == payload


def test_purposes_and_secrets_are_apart() -> None:
    text = Signer(SECRET, "resume").sign(b"x")
    assert Signer(SECRET, "nodes").verify(text) is None
    assert Signer(SECRET + "x", "resume").verify(text) is None


def test_the_context_can_not_leak_into_the_payload() -> None:
    signer = Signer(SECRET, "resume")
    assert signer.verify(signer.sign(b"bc", b"a"), b"ab") is None


@given(payload=st.binary(min_size=1, max_size=20), at=st.integers(0, 200), flip=st.integers(1, 255))
def test_no_changed_bit_passes(payload: bytes, at: int, flip: int) -> None:
    from base64 import urlsafe_b64decode, urlsafe_b64encode

    signer = Signer(SECRET, "resume")
    text = signer.sign(payload)
    data = bytearray(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    data[at % len(data)] ^= flip
    assert signer.verify(urlsafe_b64encode(data).rstrip(b"=").decode()) is None


@given(st.text(max_size=50))
def test_no_text_breaks_it(text: str) -> None:
    assert Signer(SECRET, "resume").verify(text) is None


def test_no_secret_no_signer() -> None:
    with pytest.raises(ValueError, match="needs a secret"):
        Signer("", "resume")

"""Base64url as Python's own decoder reads it."""

import base64
import binascii

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.auth import base64url


@given(st.binary(max_size=600))
def test_what_was_encoded(data: bytes) -> None:
    assert base64url.decode(base64.urlsafe_b64encode(data).rstrip(b"=").decode()) == data


@pytest.mark.parametrize("text", ["A", "AAAAA", "-____"])
def test_no_base64url_has_this_length(text: str) -> None:
    with pytest.raises(binascii.Error):
        base64url.decode(text)

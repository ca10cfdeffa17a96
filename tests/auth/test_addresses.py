"""Whose address counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.auth.addresses import TrustedProxies

PROXIES = TrustedProxies(["10.0.0.0/8", "::1", "2001:db8::/32"])


@pytest.mark.parametrize(
    ("peer", "header", "expected"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "1.2.3.4", "203.0.113.9"),  # a stranger's word
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.2.3.4, 203.0.113.9", "203.0.113.9"),  # 1.2.3.4 was made up by the client
        ("10.0.0.1", "1.2.3.4, 203.0.113.9, 10.0.0.2,10.1.1.1", "203.0.113.9"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "203.0.113.9, unknown, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9:5123", "203.0.113.9"),
        ("::1", '"[2001:db9::7]:80"', "2001:db9::7"),
        ("::1", "2001:db9::7", "2001:db9::7"),
        ("::1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "1.2.3.4", "203.0.113.9"),
        ("2001:db8::5", "203.0.113.9", "203.0.113.9"),
        ("", "203.0.113.9", ""),
        ("testclient", "203.0.113.9", "testclient"),
    ],
)
def test_the_client(peer: str, header: str | None, expected: str) -> None:
    assert PROXIES.client(peer, header) == expected


def test_by_default_nobody_is_trusted() -> None:
    assert TrustedProxies().client("127.0.0.1", "1.2.3.4") == "127.0.0.1"
    assert not TrustedProxies().trusts("127.0.0.1")
    assert PROXIES.trusts("10.2.3.4")
    assert not PROXIES.trusts("nobody")


def test_chains_are_bounded() -> None:
    header = "203.0.113.9" + ", 10.0.0.2" * 100_000
    assert PROXIES.client("10.0.0.1", header) == "10.0.0.2"


def test_problems_in_words() -> None:
    proxies = TrustedProxies(["10.0.0.1/8", "proxy.example.com", "10.0.0.0/8"])
    assert [each.startswith("trusted proxies: ") for each in proxies.problems()] == [True, True]
    assert proxies.trusts("10.9.9.9")


@given(st.text(max_size=30), st.text(max_size=60))
def test_no_header_breaks_it(peer: str, header: str) -> None:
    PROXIES.client(peer, header)
    assert PROXIES.client("10.0.0.1", header)

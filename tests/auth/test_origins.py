"""Pages that may connect."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.auth.origins import Origins


@pytest.mark.parametrize(
    ("origin", "host", "secure", "expected"),
    [
        ("https://hub.example.com", "hub.example.com", True, True),
        ("https://hub.example.com", "hub.example.com", False, True),  # TLS ends at a proxy
        ("https://hub.example.com:443", "hub.example.com", True, True),
        ("https://hub.example.com", "hub.example.com:443", True, True),
        ("http://hub.example.com", "hub.example.com", True, False),
        ("http://localhost:8000", "localhost:8000", False, True),
        ("http://LOCALHOST:8000", "localhost:8000", False, True),
        ("http://localhost:8001", "localhost:8000", False, False),
        ("http://localhost", "localhost:8000", False, False),
        ("http://[::1]:8000", "[::1]:8000", False, True),
        ("https://hub.example.com/", "hub.example.com", True, True),
        ("https://hub.example.com//", "hub.example.com", True, False),
        ("https://evil.com", "hub.example.com", True, False),
        ("https://hub.example.com.evil.com", "hub.example.com", True, False),
        ("https://hub.example.com@evil.com", "hub.example.com", True, False),
        ("https://evil.com/hub.example.com", "hub.example.com", True, False),
        ("null", "hub.example.com", True, False),
        ("", "", True, False),
        ("file://", "hub.example.com", False, False),
        ("ftp://hub.example.com", "hub.example.com", False, False),
        ("https://hub.example.com", None, True, False),
        ("https://hub.example.com", "hub.example.com, evil.com", True, False),
    ],
)
def test_by_default_the_hubs_own_host(origin: str, host: str | None, secure: bool, expected: bool) -> None:
    assert Origins().check(origin, host, secure) is expected


@pytest.mark.parametrize(
    ("allowed", "origin", "expected"),
    [
        ("https://app.example.com", "https://app.example.com", True),
        ("https://app.example.com:443", "https://app.example.com", True),
        ("https://App.Example.com", "https://app.example.com:443", True),
        ("https://app.example.com", "http://app.example.com", False),
        ("https://app.example.com", "https://app.example.com:8443", False),
        ("https://app.example.com", "https://app.example.com.evil.com", False),
        ("https://app.example.com", "https://hub.example.com", False),  # a list replaces the default
        ("https://*.example.com", "https://a.example.com", True),
        ("https://*.example.com", "https://a.b.example.com", True),
        ("https://*.example.com", "https://example.com", False),
        ("https://*.example.com", "https://evilexample.com", False),
        ("https://*.example.com", "http://a.example.com", False),
        ("https://*.example.com", "https://a.example.com:8443", False),
        ("https://*.example.com:8443", "https://a.example.com:8443", True),
        ("https://*.example.com", "https://evil.com/.example.com", False),
        ("https://*.example.com", "https://evil.com#.example.com", False),
        ("*", "https://anything.example", True),
        ("*", "null", True),
        ("capacitor://localhost", "capacitor://localhost", True),
        ("http://[::1]:3000", "http://[::1]:3000", True),
    ],
)
def test_a_list(allowed: str, origin: str, expected: bool) -> None:
    origins = Origins([allowed])
    assert origins.problems() == []
    assert origins.check(origin, "hub.example.com", True) is expected


def test_a_slash_at_the_end_of_a_setting_is_none_of_the_origin() -> None:
    origins = Origins(["https://app.example.com/", "https://*.example.org/"])
    assert not origins.problems()
    assert origins.check("https://app.example.com", "hub", True)
    assert origins.check("https://a.example.org", "hub", True)


def test_no_origin() -> None:
    assert Origins(allow_missing=True).check(None, "hub", False)
    assert not Origins(allow_missing=False).check(None, "hub", False)
    assert not Origins(["*"], allow_missing=False).check(None, "hub", False)


@pytest.mark.parametrize(
    "entry",
    [
        "app.example.com",
        "https://app.example.com/x",
        "https://",
        "",
        "https://a.*.com",
        "https://*",
        "https://*.",
        "null",
        "https://*.*.com",
    ],
)
def test_entries_that_are_no_origin(entry: str) -> None:
    origins = Origins([entry])
    assert "is no origin" in origins.problems()[0]
    assert not origins.check("https://hub.example.com", "hub.example.com", True)


@given(st.text(max_size=40), st.none() | st.text(max_size=40))
def test_no_header_breaks_it(origin: str, host: str | None) -> None:
    assert Origins(["https://app.example.com"]).check(origin, host, True) is False
    assert Origins().check(origin, host, True) in (True, False)

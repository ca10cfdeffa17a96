"""URLs of Redis servers."""

import pytest

from hub.broker.redis.client.address import Kind, parse


def test_one_server() -> None:
    (site,) = parse("redis://ann:s%40cret@example.com:7000/3")
    (address,) = site.addresses
    assert (site.kind, address.host, address.port, address.db) == (Kind.SINGLE, "example.com", 7000, 3)
    assert (address.user, address.password, address.tls) == ("ann", "s@cret", None)
    assert site.name == "example.com:7000/3"


def test_what_is_left_out() -> None:
    (site,) = parse("redis://")
    assert (site.addresses[0].host, site.addresses[0].port, site.addresses[0].user) == (
        "localhost",
        6379,
        None,
    )
    (site,) = parse("redis://:secret@a")
    assert (site.addresses[0].user, site.addresses[0].password) == (None, "secret")
    (site,) = parse("redis://[::1]:7000")
    assert (site.addresses[0].host, site.addresses[0].port) == ("::1", 7000)
    (site,) = parse("redis://[::1]")
    assert (site.addresses[0].host, site.addresses[0].port) == ("::1", 6379)


def test_several_are_a_ring() -> None:
    assert [site.name for site in parse("redis://a,redis://b:1/2, unix:///tmp/r.sock?db=1")] == [
        "a:6379",
        "b:1/2",
        "/tmp/r.sock/1",
    ]


def test_sentinels() -> None:
    one, other = parse("redis+sentinel://:pw@a,b:1/mymaster/2,redis+sentinel://c/other")
    assert (one.kind, one.master, one.name) == (Kind.SENTINEL, "mymaster", "mymaster/2")
    assert [(each.host, each.port, each.password) for each in one.addresses] == [
        ("a", 26379, "pw"),
        ("b", 1, "pw"),
    ]
    assert other.name == "other"


def test_a_cluster() -> None:
    (site,) = parse("rediss+cluster://a:1,b?ssl_cert_reqs=none")
    assert (site.kind, [each.port for each in site.addresses]) == (Kind.CLUSTER, [1, 6379])
    tls = site.addresses[0].tls
    assert tls is not None
    assert not tls.check_hostname


@pytest.mark.parametrize(
    ("urls", "why"),
    [
        ("", "is written redis://"),
        ("localhost:6379", "is written redis://"),
        ("http://a", "unknown scheme http://"),
        ("redis://a,b", "several servers are several URLs"),
        ("redis://a:x", "a port is a number"),
        ("redis://a:0", "a port is a number"),
        ("redis://a:70000", "a port is a number"),
        ("redis://a/x", "database is a number"),
        ("redis://a?timeout=3", "unknown option timeout"),
        ("redis+sentinel://a", "needs the name of the master"),
        ("redis+cluster://a,redis://b", "stands alone"),
        ("redis://a,redis://a:6379", "named twice"),
    ],
)
def test_what_is_wrong_is_said(urls: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(urls)


def test_a_password_is_never_shown() -> None:
    for urls in ("redis://ann:secret@a", "redis+sentinel://:secret@a/m", "redis://ann:at@secret@a"):
        assert "secret" not in repr(parse(urls))
    for urls in (
        "redis://ann:secret@a:x",
        "http://ann:secret@a",
        "redis://ann:secret@a?x=1",
        "redis://ann:secret/@a",
    ):
        with pytest.raises(ValueError, match=r".") as error:
            parse(urls)
        assert "secret" not in str(error.value)

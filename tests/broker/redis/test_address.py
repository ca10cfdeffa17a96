"""URLs of Redis servers."""

import ssl
from pathlib import Path

import pytest

from hub.broker.redis.client.address import Kind, parse
from hub.broker.redis.client.tuning import Tuning


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
        ("redis://a?health_check=3", "unknown option health_check"),
        ("redis://a?db=x", "Invalid value for .db."),
        ("redis://a?socket_timeout=x", "Invalid value for .socket_timeout."),
        ("redis://a?socket_timeout=0", "socket_timeout is more than 0"),
        ("redis://a?ssl_ca_certs=/x", "needs TLS"),
        ("rediss://a?ssl_colour=red", "unknown option ssl_colour"),
        ("rediss://a?ssl_min_version=99", "ssl_min_version"),
        ("rediss://a?ssl_cert_reqs=perhaps", "ssl_ options of a Redis URL"),
        ("redis://a?sentinel_username=x", "unknown option sentinel_username"),
        ("redis+cluster://a?db=2", "one database only"),
        ("redis+sentinel://a", "needs the name of the master"),
        ("redis+cluster://a,redis://b", "stands alone"),
        ("redis://a,redis://a:6379", "named twice"),
    ],
)
def test_what_is_wrong_is_said(urls: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(urls)


def test_every_option_of_redis_py() -> None:
    (site,) = parse("redis://h?db=3&socket_timeout=4.5&socket_connect_timeout=1&username=ann&password=p%40w")
    (address,) = site.addresses
    assert (address.db, address.connect_timeout, site.timeout) == (3, 1.0, 4.5)
    assert (address.user, address.password) == ("ann", "p@w")
    assert Tuning.of([site]).patience == 4.5
    (single, double) = parse("redis://a:6379?db=1,redis+sentinel://b/m?db=2")
    assert (single.name, double.name) == ("a:6379/1", "m/2")


def test_sentinels_have_a_user_of_their_own() -> None:
    (site,) = parse("redis+sentinel://ann:pw@a,b/m?sentinel_username=sen&sentinel_password=s%26cret")
    assert (site.addresses[0].user, site.addresses[0].password) == ("ann", "pw")
    assert site.sentinel == {"username": "sen", "password": "s&cret"}
    assert "cret" not in repr(site)


def test_options_of_tls() -> None:
    (plain,) = parse("rediss://h?ssl_cert_reqs=required")
    (careless,) = parse("rediss://h?ssl_cert_reqs=none")
    (nameless,) = parse("rediss://h?ssl_check_hostname=false&ssl_min_version=772&ssl_ciphers=HIGH")
    contexts = [site.addresses[0].tls for site in (plain, careless, nameless)]
    assert [(c.check_hostname, c.verify_mode) for c in contexts if c is not None] == [
        (True, ssl.CERT_REQUIRED),
        (False, ssl.CERT_NONE),
        (False, ssl.CERT_REQUIRED),
    ]
    assert contexts[2] is not None
    assert contexts[2].minimum_version is ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize("name", ["ssl_ca_certs", "ssl_certfile", "ssl_keyfile"])
def test_files_that_are_none(name: str, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text("no certificate")
    with pytest.raises(ValueError, match=f"{name}: /no/such.pem: No such file"):
        parse(f"rediss://h?{name}=/no/such.pem")
    with pytest.raises(ValueError, match="Is a directory"):
        parse(f"rediss://h?{name}={tmp_path}")
    extra = f"&ssl_certfile={other}" if name == "ssl_keyfile" else ""
    with pytest.raises(ValueError, match="the ssl_ options of a Redis URL can't be used"):
        parse(f"rediss://h?{name}={other}{extra}")


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

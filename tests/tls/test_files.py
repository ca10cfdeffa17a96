"""The files of a TLS server: what is wrong with them in words, and what becomes of changes."""

import logging
import time
from pathlib import Path

import pytest

from hub.tls.certificate import Certificate
from hub.tls.files import BadFiles, TlsFiles, expiry
from hub.tls.server import ServerTls

from ..support.certificates import DAY_S, Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def wrong(cert: Path, key: Path | None = None, ca: Path | None = None) -> str:
    files = TlsFiles(str(cert), str(key) if key else None, str(ca) if ca else None)
    with pytest.raises(BadFiles) as caught:
        files.load()
    return str(caught.value)


def test_what_is_wrong_is_said_in_words(authority: Authority, tmp_path: Path) -> None:
    one, other = authority.issue("CN=one", "DNS:one"), authority.issue("CN=other")
    encrypted = authority.issue("CN=hidden", password=b"word")
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\x00\xff nothing of the kind")
    assert wrong(tmp_path / "none") == f"HUB_TLS_CERT: {tmp_path / 'none'}: no such file or directory"
    assert wrong(tmp_path) == f"HUB_TLS_CERT: {tmp_path}: is a directory"
    assert wrong(one, tmp_path / "none") == f"HUB_TLS_KEY: {tmp_path / 'none'}: no such file or directory"
    assert wrong(garbage) == (
        f"HUB_TLS_CERT: {garbage} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"
    )
    assert wrong(one, other) == f"HUB_TLS_KEY: the key in {other} is not that of the certificate in {one}"
    assert wrong(one, garbage) == f"HUB_TLS_KEY: {garbage} holds no private key in PEM"
    assert wrong(authority.ca).startswith(f"HUB_TLS_KEY: {authority.ca} holds no private key in PEM")
    assert (
        wrong(encrypted) == f"HUB_TLS_KEY: the key in {encrypted} is encrypted: the hub asks for no password"
    )
    assert wrong(one, None, garbage) == f"HUB_TLS_CLIENT_CA: {garbage} holds no certificate in PEM"
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert wrong(broken) == f"HUB_TLS_CERT: the certificate in {broken} can't be read"


@pytest.mark.parametrize(
    ("age_days", "life_days", "said"),
    [
        (0, 90, None),
        (75, 90, None),
        (77, 90, "expires in 13 days"),
        (89.5, 90, "expires in 12 hours"),
        (1, 6, None),  # of a short life the last quarter
        (5, 6, "expires in 24 hours"),
        (91, 90, "has expired"),
        (-1, 90, "is not valid before"),
    ],
)
def test_an_end_is_told_days_before(age_days: float, life_days: float, said: str | None) -> None:
    certificate = Certificate("CN=a", ("DNS:a",), 0.0, life_days * DAY_S)
    text = expiry(certificate, age_days * DAY_S)
    assert text is None if said is None else text is not None and said in text


class Wall:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


async def test_a_certificate_that_ends_meanwhile_is_told_once_a_day(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    path, wall = authority.issue("CN=hub", "DNS:hub.example", begins=-70 * DAY_S, ends=20 * DAY_S), Wall()
    tls = ServerTls(TlsFiles(str(path)), wall)
    for _ in range(25 * 4):
        await tls.look()
        wall.now += DAY_S / 4
    lines = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(lines) in (18, 19, 20)  # 14 days before its end, and as long as nobody mends it
    assert "for DNS:hub.example expires in 14 days" in lines[0] or "13 days" in lines[0]
    assert "has expired" in lines[-1]
    assert tls.facts()["expires_in_s"] < 0
    assert "has expired" in tls.facts()["problems"][0]


async def test_a_change_is_taken_and_a_broken_one_is_not(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = authority.issue("CN=first", file="hub.pem")
    tls = ServerTls(TlsFiles(str(path)))
    first = tls.context
    await tls.look()
    assert tls.context is first
    authority.issue("CN=second", file="hub.pem")
    await tls.look()
    assert tls.certificate.subject == "CN=second"
    assert tls.context is not first
    kept = path.read_bytes()
    path.write_bytes(kept[: len(kept) // 2])
    await tls.look()
    assert tls.problem is None  # between two writes
    for _ in range(3):
        await tls.look()
    assert tls.problem is not None
    assert tls.certificate.subject == "CN=second"
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == tls.failures == 1
    assert warnings[0].endswith("; the one before it stays in use")
    assert tls.facts()["problems"] == [tls.problem]
    authority.issue("CN=third", file="hub.pem")
    await tls.look()
    assert tls.problem is None
    assert tls.certificate.subject == "CN=third"
    assert tls.reloads == 2

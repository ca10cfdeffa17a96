"""The head of a request, and whether it is one (RFC 9112 sections 3, 5, 6; RFC 9110 sections 5.3, 7.2, 7.8, 10.1).

What two readers could understand in two ways is refused: where the hub and a proxy before it disagree about
where a request ends, one client's bytes become another one's request.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote

Fields = list[tuple[bytes, bytes]]
Line = tuple[str, bytes, str]  # method, target, version

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/([0-9]\.[0-9])\r\n")
_ABSOLUTE = re.compile(rb"(?i:http|https|ws|wss)://([^/?@]+)(/[^?]*)?(\?.*)?")
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]*)?")
_LENGTH = re.compile(rb"[0-9]{1,15}")

# Of these a second line would leave open which one counts.
_ONCE = (
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"content-type",
    b"authorization",
    b"origin",
    b"sec-websocket-key",
    b"sec-websocket-version",
)
_LOOKED_AT = frozenset((*_ONCE, b"connection", b"upgrade", b"expect"))


class BadRequest(Exception):
    """A request that is not served: the HTTP status and the reason of the answer. The connection ends with it."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(slots=True)
class Head:
    """A request's head, checked.

    `target` is as it was sent; `path` is decoded; `fields` have lower-case names. `length` is that of the body in
    bytes, None where chunks say it. `websocket`: it asks for the upgrade to one, and is to be answered by that.
    `certificate` is the client's (PEM), where its connection has one.
    """

    method: str
    target: bytes
    path: str
    raw_path: bytes
    query: bytes
    version: str
    fields: Fields
    length: int | None
    keep_alive: bool
    expects_continue: bool
    websocket: bool
    certificate: str | None = None

    def field(self, name: bytes) -> bytes | None:
        """The value of a field, its lines joined as RFC 9110 section 5.3 says."""
        lines = [value for key, value in self.fields if key == name]
        return b", ".join(lines) if lines else None


def read_line(data: bytes) -> Line:
    """The first line of the bytes of a head.

    Raises:
        BadRequest: it is none that can be served.
    """
    found = _REQUEST_LINE.match(data)
    if found is None:
        raise _bad("the first line is not: method, space, target, space, HTTP/1.1")
    method, target, version = found[1].decode(), found[2], found[3].decode()
    if version not in ("1.1", "1.0"):
        raise BadRequest(
            HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, f"HTTP/{version} is not spoken here, HTTP/1.1 is"
        )
    if method == "CONNECT":
        raise BadRequest(HTTPStatus.NOT_IMPLEMENTED, "this is no proxy: there is no CONNECT")
    return method, target, version


def read_head(line: Line, fields: Fields) -> Head:
    """The head with this first line and these fields, whose syntax a parser has checked.

    Raises:
        BadRequest: it is none that can be served.
    """
    method, target, version = line
    found = _found(fields)
    raw_path, query = _target(target, fields, found, version)
    path = raw_path.decode()
    length = _length(found, version)
    options = _tokens(found.get(b"connection", ()))
    websocket = (
        method == "GET"
        and version == "1.1"
        and b"upgrade" in options
        and b"websocket" in _tokens(found.get(b"upgrade", ()))
    )
    if websocket and length != 0:
        raise _bad("an upgrade to a WebSocket has no body")
    return Head(
        method,
        target,
        unquote(path) if "%" in path else path,
        raw_path,
        query,
        version,
        fields,
        length,
        b"close" not in options and (version == "1.1" or b"keep-alive" in options),
        _expects_continue(found, version),
        websocket,
    )


def without_upgrade(data: bytes) -> bytes:
    """A head with no offer to upgrade: a server may ignore one (RFC 9110 section 7.8), and a parser then reads
    the request's body as such."""
    lines = data.split(b"\r\n")
    return b"\r\n".join(line for line in lines if line[:8].lower() != b"upgrade:")


def _found(fields: Fields) -> dict[bytes, list[bytes]]:
    """The lines of each field that is looked at here."""
    found: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        if name in _LOOKED_AT:
            found.setdefault(name, []).append(value)
    for name, lines in found.items():
        if len(lines) > 1 and name in _ONCE:
            raise _bad(f"{name.decode()} stands there {len(lines)} times, it may once")
    return found


def _target(
    target: bytes, fields: Fields, found: dict[bytes, list[bytes]], version: str
) -> tuple[bytes, bytes]:
    """Path and query. With a target in absolute form it says the host (RFC 9112 section 3.2.2)."""
    host = found.get(b"host")
    if host is None and version == "1.1":
        raise _bad("the header Host is missing")
    if host is not None and _HOST.fullmatch(host[0]) is None:
        raise _bad("the header Host is not a host and a port")
    if b"#" in target:
        raise _bad("a target has no fragment")
    if target[0] != 0x2F and target != b"*":
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None or _HOST.fullmatch(absolute[1]) is None:
            raise _bad("the target is neither a path nor an absolute http URL")
        fields[:] = [(b"host", absolute[1]), *(field for field in fields if field[0] != b"host")]
        return absolute[2] or b"/", (absolute[3] or b"?")[1:]
    path, _, query = target.partition(b"?")
    return path, query


def _length(found: dict[bytes, list[bytes]], version: str) -> int | None:
    codings = found.get(b"transfer-encoding")
    if codings is not None:
        if version == "1.0" or b"content-length" in found:
            raise _bad("Transfer-Encoding in HTTP/1.0, or beside a Content-Length")
        if codings[0].lower() != b"chunked":
            raise BadRequest(HTTPStatus.NOT_IMPLEMENTED, "no Transfer-Encoding but chunked is known")
        return None
    lengths = found.get(b"content-length")
    if lengths is None:
        return 0
    if _LENGTH.fullmatch(lengths[0]) is None:
        raise _bad("Content-Length is no number")
    return int(lengths[0])


def _expects_continue(found: dict[bytes, list[bytes]], version: str) -> bool:
    expected = found.get(b"expect")
    if expected is None or version == "1.0":
        return False
    if _tokens(expected) != {b"100-continue"}:
        raise BadRequest(HTTPStatus.EXPECTATION_FAILED, "no expectation but 100-continue is known")
    return True


def _tokens(lines: Sequence[bytes]) -> set[bytes]:
    """The members of a list that may stand in several lines."""
    return {token.strip().lower() for line in lines for token in line.split(b",")}


def _bad(why: str) -> BadRequest:
    return BadRequest(HTTPStatus.BAD_REQUEST, why)

"""One address of a hub, for its HTTP API and for its socket: ``http://host:8000``, or ``https://host/hub`` where it
is mounted in an app."""

from urllib.parse import SplitResult, urlsplit, urlunsplit

SOCKET = "/ws"
_SCHEMES = ("http", "https", "ws", "wss")


def http_base(url: str, socket: str = SOCKET) -> str:
    """What the paths of the HTTP API are put behind; taken from the socket's own address too.

    Raises:
        ValueError: it is no address of a hub.
    """
    parts = _parts(url)
    path = parts.path.rstrip("/")
    if path.endswith(socket):
        path = path.removesuffix(socket)
    elif parts.scheme.startswith("ws"):
        path = path.rpartition("/")[0]  # a socket's address, by a path that only the hub's own settings know
    return urlunsplit((parts.scheme.replace("ws", "http"), parts.netloc, path, "", ""))


def socket_address(url: str, socket: str = SOCKET) -> str:
    """Where the WebSocket is: ``ws://…`` with a path as given, anything else with `socket` behind it.

    Raises:
        ValueError: it is no address of a hub.
    """
    parts = _parts(url)
    path = parts.path.rstrip("/")
    if not path or not (parts.scheme.startswith("ws") or path.endswith(socket)):
        path += socket
    return urlunsplit((parts.scheme.replace("http", "ws"), parts.netloc, path, parts.query, ""))


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        known = parts.scheme in _SCHEMES and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        known = False
    if not known:  # it is not repeated: a query may hold a token
        raise ValueError(
            "the hub's address begins with http:// or https:// (or ws://, wss://) and names a host"
        )
    return parts

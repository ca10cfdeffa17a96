"""A request that is there as a whole, as the routes see it that are answered without ASGI."""

from starlette.requests import Request

from ..transport.http1.head import Head


class Fields:
    """The fields of a head, read as Starlette's `Headers` are."""

    __slots__ = ("_head",)

    def __init__(self, head: Head) -> None:
        self._head = head

    def get(self, name: str, default: str) -> str:
        """The first line of a field; `name` is lower-case."""
        wanted = name.encode()
        return next((value.decode("latin-1") for key, value in self._head.fields if key == wanted), default)


class WholeRequest:
    """`method`, `headers`, the `body` as bytes, and the client's `certificate` where its connection has one."""

    __slots__ = ("body", "certificate", "headers", "method")

    def __init__(self, head: Head, body: bytes) -> None:
        self.method = head.method
        self.headers = Fields(head)
        self.body = body
        self.certificate = head.certificate


AnyRequest = Request | WholeRequest
"""What a route gets that is answered either way."""

"""A receiver of traces by OTLP/HTTP, in OpenTelemetry's own messages; one that hangs is a receiver, too."""

import gzip
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ..support.pace import SCALE


class Receiver:
    """Keeps the spans that come, each with its resource's attributes."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.spans: list[tuple[Span, dict[str, Any]]] = []
        self.requests = 0
        self.released = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.requests += 1
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if hangs:
                    receiver.released.wait(120)
                    return
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                assert self.path == "/v1/traces"
                receiver._keep(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def _keep(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            about = attributes(resource.resource)
            self.spans += [(span, about) for scope in resource.scope_spans for span in scope.spans]

    def until(self, enough: Callable[[list[Span]], bool]) -> list[Span]:
        """The spans so far, once there are enough."""
        deadline = time.monotonic() + 30 * SCALE
        while not enough(found := [span for span, _ in self.spans]):
            assert time.monotonic() < deadline, [span.name for span in found]
            time.sleep(0.05)
        return found


def attributes(bearer: Any) -> dict[str, Any]:
    """Attributes of a span or a resource, as values of Python."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in bearer.attributes}

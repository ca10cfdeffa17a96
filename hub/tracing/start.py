"""A tracer, where one is asked for; without that nothing of OpenTelemetry is imported."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .otel import OtelTracer


class NotInstalled(Exception):
    """The library is missing; `str` says what installs it."""


def make(node: str, ratio: float, service: str = "notification-hub") -> "OtelTracer":
    """Spans of `node`; `ratio` of the traces that begin there are sampled.

    Raises:
        NotInstalled: the extra ``otel`` is.
    """
    try:
        from .otel import OtelTracer
    except ModuleNotFoundError as error:
        raise NotInstalled(
            f"HUB_OTEL: {error.name} is missing: pip install 'notification-hub[otel]'"
        ) from None
    return OtelTracer(node, ratio, service=service)

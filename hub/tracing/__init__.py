"""Traces, where HUB_OTEL asks for them: a request, what it sends, and what each node hands on, joined over nodes.

`base` is what the others know; `otel`, which alone imports OpenTelemetry, is imported by `app` and by the command
of bridges when asked for.
May import: `runtime`, `protocol`.
"""

"""The HTTP API, the metrics page, and the description of both.

May import: `transport`, `commands` and what lies below them; Starlette.
"""

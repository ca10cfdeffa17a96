"""The I/O of connections: the fast lane (a protocol of uvicorn's) and the portable lane (ASGI).

May import: `commands`, `connections` and what lies below them; Starlette, uvicorn, websockets.
"""

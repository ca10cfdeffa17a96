"""What each command of a client does, and what is decided before: handshake, rights, limits.

Nothing here knows Redis or Starlette.
May import: `node` and all that lies below it, no implementation of a broker.
"""

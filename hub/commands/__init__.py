"""What each command of a client does, and what is decided before: handshake, rights, limits.

Nothing here knows Redis or Starlette.
May import: what lies below it but implementations of a broker; of the node it knows `host`, some Protocols.
"""

"""The hot path: from a channel's event to the bytes on a socket. Nothing here awaits.

A frame is made once for all receivers of an encoding; an outbox writes once a turn.
May import: `namespaces`, `runtime`, `protocol`.
"""

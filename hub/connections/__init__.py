"""One connection and the table of all: what is due when, who is let in, and at which rate.

The I/O is `transport`'s; here is what a connection needs of it (`connections.transport`).
May import: `delivery`, `auth`, `settings`, `runtime`, `protocol`.
"""

"""Who is in a channel, and who is told of it.

The truth lies in the broker; here is when and how its changes are told.
May import: `delivery`, `broker.base`, `namespaces`, `runtime`, `protocol`.
"""

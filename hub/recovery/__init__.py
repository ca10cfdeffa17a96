"""Where a subscription begins, and how what it missed reaches it: replay, repair, the position check.

The stored stream is the truth; announcements only say that it grew.
May import: `delivery`, `broker.base`, `namespaces`, `runtime`, `protocol`.
"""

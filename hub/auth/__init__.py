"""Who somebody is and what they may do: tokens, keys, grants, tickets, revocations, origins.

Past this folder nobody sees a raw claims dict: there is an `Identity`.
May import: `broker.base`, `settings`, `runtime`, `protocol`.
"""

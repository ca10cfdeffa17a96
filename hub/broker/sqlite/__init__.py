"""The broker of one node that forgets nothing: `memory`, which writes through into one SQLite file.

May import: `broker.memory`, `broker.base`, `namespaces`, `runtime`, `protocol`.
"""

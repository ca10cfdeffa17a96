"""The broker of one process: everything in memory, by the rules of `broker.base`.

Time is handed in, so that tests need no sleep.
May import: `broker.base`, `namespaces`, `runtime`, `protocol`.
"""

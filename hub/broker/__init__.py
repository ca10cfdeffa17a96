"""Where events are numbered, stored and announced: `base` is the interface with its guarantees.

`memory` and `redis` implement it; only `hub.app` and the SDK pick one.
May import: `namespaces`, `runtime`, `protocol`.
"""

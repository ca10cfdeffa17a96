"""The Python SDK's parts; `hub.client` and `hub.publisher` are its faces.

It runs in processes of others: no node, no server, no settings.
May import: `runtime`, `protocol`; `broker` only to publish straight into Redis.
"""

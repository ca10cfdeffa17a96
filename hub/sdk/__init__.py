"""The Python SDK's parts; `hub.client` and `hub.publisher` are its faces. It knows `hub.protocol` only."""

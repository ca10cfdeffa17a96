"""A real-time WebSocket notification hub: authenticated sockets, numbered channels, resume without loss."""

__version__ = "0.2.0"

"""A real-time WebSocket notification hub: authenticated sockets, numbered channels, resume without loss."""

__version__ = "0.1.0"

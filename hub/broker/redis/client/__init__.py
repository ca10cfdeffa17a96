"""What a library could be: connections, subscriber connections, discovery, rings and Clusters.

It knows servers and slots, and nothing of channels, scripts or events.
May import: `broker.base`, `runtime`, `protocol`.
"""

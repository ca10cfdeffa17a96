"""What others bring into ``hub serve`` and ``hub bridge``: handlers, keys of tokens, kinds of bridges.

May import: what lies below it; nothing of it is imported where `HUB_PLUGINS` names none.
"""

from .plugin import API, Plugin

__all__ = ["API", "Plugin"]

"""Python handlers of the program around a hub: it is asked, answers calls, is told, and publishes.

May import: what lies below it; nothing of it is imported where no handler is registered, but the registry.
"""

from .messages import (
    Admit,
    Allow,
    CallRequest,
    Change,
    ConnectRequest,
    Disconnected,
    EventSeen,
    PublishRequest,
    Refuse,
    SubscribeRequest,
)

__all__ = [
    "Admit",
    "Allow",
    "CallRequest",
    "Change",
    "ConnectRequest",
    "Disconnected",
    "EventSeen",
    "PublishRequest",
    "Refuse",
    "SubscribeRequest",
]

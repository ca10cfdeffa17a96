"""The fault suite: two nodes over a real Redis, a flow of events, and one fault at a time."""

from .clustered import CLUSTERED
from .lost import LOST
from .refilled import REFILLED

FAULTS = (*REFILLED, *CLUSTERED, *LOST)

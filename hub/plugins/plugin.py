"""What a plugin is: a class with the parts that it brings, the others left as they are here."""

from collections.abc import Callable, Mapping, Sequence

from ..auth.keys import Keys
from ..bridge.settings import BridgeSettings
from ..bridge.source import Source
from ..handlers.in_process import InProcess
from ..handlers.registry import Registers
from ..settings import Settings

API = 1
"""The version of this interface. It rises when a plugin written for the one before could not run any more."""


class Plugin:
    """A part of the hub's process, with all its rights: what is named in `HUB_PLUGINS` is trusted.

    `api` says for which version of this interface it was written. Its methods are called in the order in which they
    stand here, once for each process that serves.
    """

    api: int = 0

    def handlers(self, hub: Registers) -> None:
        """Register handlers: ``hub.on_call("rename")(self.rename)``."""

    def keys(self, settings: Settings) -> Sequence[Keys]:
        """Sources of keys that tokens are checked with, beside those of the settings. Made often, by ``hub check``
        too: they connect to nothing before they are asked for a key."""
        return ()

    def bridges(self) -> Mapping[str, Callable[[BridgeSettings], Source]]:
        """Kinds of bridges by name, and what makes a source of each; settings of its own stand in ``options``."""
        return {}

    async def start(self, hub: InProcess) -> None:
        """The hub serves: within 10 s, else it does not."""

    async def stop(self) -> None:
        """The hub ends: within 5 s."""

    def health(self) -> str | None:
        """Why the node should get no traffic, for ``/readyz``; None where it is well. Asked often, in the loop."""
        return None

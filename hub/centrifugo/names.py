"""Channel names: those of Centrifugo, which need no namespace, and the hub's.

    in Centrifugo     in the hub
    news              plain:news      the namespace that the settings name
    chat:1            chat:1
    #42               user:42         the user's own channel
    $news, $chat:1    plain:$news, chat:$1      private: by a channel token only

Each name has one other, so that what is said of a channel to all its receivers has one name too.
"""

from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError

OWN = "user"
PRIVATE = "$"
ANONYMOUS = "anonymous:"
"""The users of connections without one begin like this in the hub; each has its own, so that no limit is shared."""


class HubNames:
    """Channels are named as in the hub."""

    def inward(self, name: str) -> str:
        """The hub's name of a channel that a client names; its grammar is not looked at.

        Raises:
            HubError: ``bad_channel``: no client may say it like that.
        """
        return name

    def outward(self, channel: str) -> str:
        """A client's name of a channel of the hub."""
        return channel


class CentrifugoNames(HubNames):
    """Channels are named as in Centrifugo; those without a namespace are in `default`."""

    def __init__(self, default: str) -> None:
        self._default = default
        self._prefix = f"{default}:"

    def inward(self, name: str) -> str:
        """See `HubNames.inward`."""
        if name.startswith("#"):
            return f"{OWN}:{name[1:]}"
        if name.startswith(PRIVATE):
            namespace, colon, rest = name[1:].partition(":")
            return f"{namespace}:{PRIVATE}{rest}" if colon else self._prefix + name
        namespace, colon, rest = name.partition(":")
        if not colon:
            return self._prefix + name
        if namespace in (self._default, OWN) or rest.startswith(PRIVATE):
            raise HubError(ErrorCode.BAD_CHANNEL, f"this channel is called {self.outward(name)} here")
        return name

    def outward(self, channel: str) -> str:
        """See `HubNames.outward`."""
        namespace, _, rest = channel.partition(":")
        if namespace == self._default:
            return rest
        if namespace == OWN:
            return f"#{rest}"
        return f"{PRIVATE}{namespace}:{rest[1:]}" if rest.startswith(PRIVATE) else channel


def shown_user(user: str) -> str:
    """A user as these clients know them: empty where there is none."""
    return "" if user.startswith(ANONYMOUS) else user


def is_private(channel: str) -> bool:
    """Whether a channel of the hub is by token only."""
    return channel.partition(":")[2].startswith(PRIVATE)

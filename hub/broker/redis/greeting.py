"""What the nodes of one hub must agree on, written into each Redis: the ring of servers, and the namespaces.

A node with another ring would look for channels where the others don't put them: it is refused, and says what
differs, as long as a node with the ring in force lives. The namespaces are for publishers that write straight
into Redis; where two nodes differ (a rolling deploy), the newest wins.
"""

import json
from collections.abc import Collection, Mapping, Sequence

import hiredis

from ...namespaces import Namespace, Namespaces
from .client.address import Kind, Site
from .client.command_connection import Commander, WrongServer
from .client.connection import Command, Link, LinkError
from .client.errors import code_of
from .client.tuning import Stats
from .keys import KeyNames
from .scripts import SETTINGS

RING_MS = 60_000
"""For so long a ring stands after its last node was seen."""

FORMAT = 1
"""The version of the settings' own form."""


class Greeting:
    """What a node says to each server before it uses it, and again while it lives."""

    def __init__(
        self,
        keys: KeyNames,
        sites: Sequence[Site],
        namespaces: Namespaces,
        stats: Stats,
        through_hub: Collection[str] = (),
        webhooks: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._keys = keys
        self._stats = stats
        self._ring = ring_of(sites)
        self._namespaces = _dumps(namespaces, through_hub, webhooks or {})

    async def __call__(self, link: Link) -> None:
        """Greet.

        Raises:
            WrongServer: it belongs to another ring.
            LinkError: it refused, or is gone.
        """
        (reply,) = await link.call([self.command])
        self.judge(link.name, reply)

    async def again(self, commander: Commander) -> None:
        """Greet over a standing connection, so that the ring stays in force.

        Raises:
            HubError, LinkError: the server is away.
        """
        (reply,) = await commander.call([self.command])
        try:
            self.judge(commander.name, reply)
        except WrongServer as error:
            # This node was away for so long that others came with another ring: it can't know who is right.
            self._stats.note("other_ring", "%s", error)

    @property
    def command(self) -> Command:
        """The greeting."""
        names = self._keys.settings
        return (
            "EVALSHA",
            SETTINGS.sha,
            len(names),
            *names,
            "",
            "0",
            0,
            "",
            self._ring,
            self._namespaces,
            RING_MS,
        )

    def judge(self, name: str, reply: object) -> None:
        """As `__call__`, of a reply."""
        if isinstance(reply, hiredis.ReplyError):
            if code_of(str(reply)) == "MOVED":
                return  # a Cluster keeps it on another of its servers
            raise LinkError(f"{name}: {reply}")
        assert isinstance(reply, list)
        if reply[0] == b"ring":
            check_ring(name, reply[1], self._ring, "this node")
        if reply[1] and reply[1].decode("utf-8", "replace") != self._namespaces:
            self._stats.note("namespaces_changed", "%s: other namespaces than before are in force", name)


class Look:
    """What somebody who is no node says instead: nothing. It reads what the nodes agreed on.

    `namespaces` are those in force, where a server has them; `through_hub` are those of which only a hub can tell
    whether an event may be published (handlers, a schema); `webhooks` are endpoints, with patterns of the channels
    whose events they wait for. `who` names the visitor in a refusal; `needs_a_hub` refuses a server where none has
    ever run.
    """

    def __init__(self, keys: KeyNames, sites: Sequence[Site], who: str, *, needs_a_hub: bool) -> None:
        self._keys = keys
        self._ring = ring_of(sites)
        self._who = who
        self._needs_a_hub = needs_a_hub
        self.namespaces: Namespaces | None = None
        self.through_hub: Collection[str] = frozenset()
        self.webhooks: Mapping[str, Sequence[str]] = {}

    async def __call__(self, link: Link) -> None:
        """Look.

        Raises:
            WrongServer: it belongs to another ring, to no hub, or to one whose version is not understood.
            LinkError: it refused, or is gone.
        """
        ring_name, namespaces_name = self._keys.settings
        replies = await link.call([("GET", ring_name), ("GET", namespaces_name)])
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                if code_of(str(reply)) == "MOVED":
                    return  # a Cluster keeps it on another of its servers
                raise LinkError(f"{link.name}: {reply}")
        ring, namespaces = replies
        check_ring(link.name, ring, self._ring, self._who)
        if namespaces is None and self._needs_a_hub:
            raise WrongServer(f"{link.name} has no settings of a hub under the prefix {self._keys.prefix}")
        try:
            if namespaces is not None:
                self.namespaces = loads(namespaces)
                self.through_hub = _through_hub(namespaces, self.namespaces)
                self.webhooks = _webhooks(namespaces)
        except ValueError as error:
            raise WrongServer(f"{link.name}: {error}") from None


def check_ring(name: str, theirs: bytes | None, ours: str, who: str) -> None:
    """Compare the ring in force on a server with ours.

    Raises:
        WrongServer: they differ, and how.
    """
    if theirs is not None and theirs != ours.encode():
        raise WrongServer(
            f"{name} belongs to a hub whose nodes spread their channels over "
            f"[{theirs.decode('utf-8', 'replace')}], {who} would over [{ours}]: give all the same servers "
            f"(or stop the others for {RING_MS // 1000} s)"
        )


def ring_of(sites: Sequence[Site]) -> str:
    """A ring in words. Names matter only where there are several to choose from."""
    if len(sites) > 1:
        return ", ".join(sorted(site.name for site in sites))
    return "a cluster" if sites[0].kind is Kind.CLUSTER else "one server"


_OF_CLIENTS = {"client_subscribe", "client_anonymous", "client_event", "mask", "mask_how"}
"""Rules that no publisher needs: a release that does not know them wrote the same."""


def _through_hub(text: bytes, namespaces: Namespaces) -> frozenset[str]:
    named = json.loads(text).get("through_hub", ())
    with_schema = (name for name, rules in namespaces.items() if rules.schema_ is not None)
    return frozenset({*with_schema, *(name for name in named if isinstance(name, str))})


def _webhooks(text: bytes) -> dict[str, list[str]]:
    found = json.loads(text).get("webhooks", {})
    return {str(name): [str(each) for each in channels] for name, channels in found.items()}


def _dumps(
    namespaces: Namespaces, through_hub: Collection[str], webhooks: Mapping[str, Sequence[str]]
) -> str:
    table = {
        name: rules.model_dump(mode="json", by_alias=True, exclude=_OF_CLIENTS)
        for name, rules in namespaces.items()
    }
    settings: dict[str, object] = {"format": FORMAT, "namespaces": table}
    if through_hub:
        settings["through_hub"] = sorted(through_hub)
    if webhooks:
        settings["webhooks"] = {name: list(channels) for name, channels in webhooks.items()}
    return json.dumps(settings, sort_keys=True, separators=(",", ":"))


def loads(text: bytes) -> Namespaces:
    """The namespaces that the nodes wrote.

    Raises:
        ValueError: written by a version that this one does not understand.
    """
    settings = json.loads(text)
    if settings.get("format") != FORMAT:
        raise ValueError(
            f"the hub's settings in Redis have format {settings.get('format')}, known is {FORMAT}"
        )
    table = settings["namespaces"]
    return Namespaces({name: Namespace.model_validate(rules) for name, rules in table.items()})

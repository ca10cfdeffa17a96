"""Rights from the roles in an identity provider's token: what a role grants is said by settings, not by the token.

A provider's token says who somebody is and which roles they have. A role grants patterns of channels, which may
hold claims: ``tenant:{org}:*``. What is put in is one segment of a channel's name, so that nobody can widen a
pattern by what they call themselves.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..protocol.channels import is_channel
from . import claims
from .channel_right import ChannelRight
from .claims import grants
from .identity import Identity, Level
from .refusals import invalid

MAX_VALUES = 32  # of a claim that is a list
MAX_PATTERNS = 1024  # that all roles of a token make together
VERBS = ("subscribe", "publish", "presence", "channels")

_PLACE = re.compile(r"\{([^{}]+)\}")
# One segment: what may stand in a channel's name, but neither the colon nor the star.
_SEGMENT = re.compile(r"[!-~]{1,200}\Z")
_NO_SEGMENT = re.compile(r"[:*/\\?#%{}]")


@dataclass(frozen=True, slots=True)
class Role:
    """What a role grants: templates of patterns by verb, and whether it makes a service or an admin."""

    grants: Mapping[str, Sequence[str]] = field(default_factory=dict)
    service: bool = False
    admin: Level = Level.NONE


@dataclass(frozen=True, slots=True)
class Grant:
    """One pattern, and the role that it comes from."""

    role: str
    verb: str
    pattern: str


class Roles:
    """Reads a provider's claims.

    `path` is where the roles are: a claim's name, or names joined by dots (``realm_access.roles``); a text is split
    at spaces (``scope``). `user` is the claim, or path, of who it is. `hub`: whether the claim `hub` counts too, as
    in tokens of the hub's own; it never makes a service or an admin.
    """

    def __init__(
        self, path: str | None, table: Mapping[str, Role], *, user: str = "sub", hub: bool = False
    ) -> None:
        self._path = path
        self._table = dict(table)
        self._user = user
        self._hub = hub

    def problems(self) -> list[str]:
        """What is wrong with the settings, in words."""
        found = []
        if self._table and self._path is None:
            found.append("there are roles, but no claim to find them in (HUB_CLAIM_ROLES)")
        for name, role in self._table.items():
            for template in itertools.chain(*role.grants.values()):
                if "{" in (rest := _PLACE.sub("", template)) or "}" in rest:
                    found.append(f"the role {name}: {template!r} has a brace without its other half")
        return found

    def read(self, found: Mapping[str, Any], now: float, leeway: float) -> Identity | ChannelRight:
        """What a provider's token proves.

        Raises:
            HubError: ``token_expired`` or ``token_invalid``.
        """
        if self._hub and claims.is_channel_token(found):
            return claims.channel_right(found, now, leeway)
        base = claims.identity(self._plain(found), now, leeway)
        by_verb: dict[str, list[str]] = {verb: [] for verb in VERBS}
        for grant in self.grants(found):
            by_verb[grant.verb].append(grant.pattern)
        roles = [self._table[name] for name in self.names(found) if name in self._table]
        service = any(role.service for role in roles)
        admin = max((role.admin for role in roles), default=Level.NONE)
        own = base.grants
        return Identity(
            user=base.user,
            expires_at=base.expires_at,
            grants=grants(
                _union(own.subscribe.patterns, by_verb["subscribe"]),
                _union(own.publish.patterns, by_verb["publish"]),
                _union(own.presence.patterns, by_verb["presence"]),
            ),
            channels=_union(base.channels, filter(is_channel, by_verb["channels"])),
            info=base.info,
            service=service,
            issued_at=base.issued_at,
            jti=base.jti,
            name=base.user,
            control=Level.WRITE if service else admin,
            admin=admin,
        )

    def names(self, found: Mapping[str, Any]) -> tuple[str, ...]:
        """The roles that a token names, known here or not."""
        value = None if self._path is None else _at(found, self._path)
        if isinstance(value, str):
            value = value.split()
        if not isinstance(value, list):
            return ()
        return tuple(dict.fromkeys(name for name in value if isinstance(name, str)))

    def grants(self, found: Mapping[str, Any]) -> list[Grant]:
        """What each role of a token gives."""
        made = (
            Grant(name, verb, pattern)
            for name in self.names(found)
            if name in self._table
            for verb, templates in self._table[name].grants.items()
            for template in templates
            for pattern in _filled(template, found)
        )
        return list(itertools.islice(made, MAX_PATTERNS))

    def explain(self, found: Mapping[str, Any]) -> list[str]:
        """Which role gave which grant, in words for the token's holder."""
        names = self.names(found)
        if not names:
            return [f"no role was found in the claim {self._path}"]
        given = self.grants(found)
        lines = []
        for name in names:
            if (role := self._table.get(name)) is None:
                lines.append(f"role {name} is in the token, and grants nothing here (HUB_ROLES)")
                continue
            parts = [f"{grant.verb} {grant.pattern}" for grant in given if grant.role == name]
            parts += ["service"] if role.service else []
            parts += [f"admin:{role.admin.name.lower()}"] if role.admin else []
            lines.append(f"role {name} grants {', '.join(parts) or 'nothing: its claims do not fit'}")
        return lines

    def _plain(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """The claims that count, as those of a token of the hub's own."""
        user = _at(found, self._user)
        if user is None:
            raise invalid(f"claim {self._user} is missing: it says who the user is")
        plain = {**found, "sub": user}
        hub = plain.pop("hub", None)
        if self._hub and isinstance(hub, dict):
            plain["hub"] = {name: hub[name] for name in hub if name not in ("service", "admin")}
        return plain


def _at(found: Mapping[str, Any], path: str) -> Any:
    """A claim by its name, which may hold dots (``https://example.com/roles``), else by a path of names."""
    if path in found:
        return found[path]
    value: Any = found
    for name in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _filled(template: str, found: Mapping[str, Any]) -> Iterator[str]:
    """The patterns that a template makes: one for each value of its claims, none where one does not fit."""
    pieces = _PLACE.split(template)
    values = [_segments(_at(found, name)) for name in pieces[1::2]]
    for chosen in itertools.product(*values):
        filled = pieces[:]
        filled[1::2] = chosen
        yield "".join(filled)


def _segments(value: Any) -> list[str]:
    """The values of a claim that may stand as one segment of a channel's name."""
    values = value[:MAX_VALUES] if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str) and _is_segment(each)]


def _is_segment(text: str) -> bool:
    return _SEGMENT.match(text) is not None and _NO_SEGMENT.search(text) is None


def _union(first: Sequence[str], second: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))

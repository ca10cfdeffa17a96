"""The members of a channel, as they are written: each encoded once."""

from collections.abc import Iterable
from typing import Any

import orjson

from ..broker.base import Member


def member_fields(member: Member) -> dict[str, Any]:
    """A member as the contract writes it: ``as`` where it has a name of its own, else ``connection``."""
    fields: dict[str, Any] = {"user": member.user, "as" if member.named else "connection": member.name}
    if member.info is not None:
        fields["info"] = orjson.Fragment(member.info)
    if member.state is not None:
        fields["state"] = orjson.Fragment(member.state)
    return fields


def members_fields(members: Iterable[Member], *, by_user: bool = False) -> list[dict[str, Any]]:
    """The members; one entry a user, with how many there are of it, where `by_user`."""
    if not by_user:
        return [member_fields(member) for member in members]
    users: dict[str, dict[str, Any]] = {}
    for member in members:
        entry = users.setdefault(member.user, {"user": member.user, "members": 0})
        entry["members"] += 1
        if member.info is not None:
            entry["info"] = orjson.Fragment(member.info)
    return list(users.values())


def encoded(members: Iterable[Member]) -> list[bytes]:
    """The JSON of each."""
    return [orjson.dumps(member_fields(member)) for member in members]

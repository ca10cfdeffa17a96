"""The Lua scripts: files beside this module, sent once to each server and called by their hash."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib.resources import files


@dataclass(frozen=True, slots=True, eq=False)
class Script:
    """A script's `source`, and the hash (`sha`) that ``EVALSHA`` knows it by."""

    name: str
    source: bytes
    sha: str


@cache
def _part(name: str) -> bytes:
    return files(__package__).joinpath("lua", f"{name}.lua").read_bytes()


def _script(name: str, *parts: str) -> Script:
    """A script is one chunk: the context, the parts that it builds on, then its own."""
    source = b"\n".join(_part(part) for part in ("context", *parts, name))
    return Script(name, source, sha1(source, usedforsecurity=False).hexdigest())


def _told(name: str, *parts: str) -> Script:
    """The same script where webhooks wait for what it announces."""
    source = b"\n".join(_part(part) for part in ("context", "intents", *parts, name))
    return Script(name, source, sha1(source, usedforsecurity=False).hexdigest())


PUBLISH = _script("publish", "plain", "numbering", "snapshot_keys", "sources")
READ = _script("read", "numbering")
SNAPSHOT = _script("snapshot", "numbering", "snapshot_keys")
TOP = _script("top", "numbering")
INBOX = _script("inbox", "numbering")
DELETE = _script("delete", "numbering")
DELETE_KEY = _script("delete_key", "numbering")
LEASED = _script("leased")
ENTER = _script("enter", "members")
SET_STATE = _script("set_state", "members")
LEAVE = _script("leave", "members")
MEMBERS = _script("present", "members")
MEMBER_COUNT = _script("member_count", "members")
NODE_MEMBERS = _script("node_members", "members")
DUE_ADD = _script("due_add")
DUE_TAKE = _script("due_take")
DUE_DONE = _script("due_done")
NODES = _script("nodes")
REVOCATIONS = _script("revocations")
SETTINGS = _script("settings")
DEAD_LETTERS = _script("dead_letters")

INTENTS_PUSH = _script("intents_push")
INTENTS_TAKE = _script("intents_take")
INTENTS_SETTLE = _script("intents_settle")
OCCUPANCY = _told("occupancy")
CONNECTIONS = _script("connections")

TOLD: Mapping[Script, Script] = {
    PUBLISH: _told("publish", "plain", "numbering", "snapshot_keys", "sources"),
    ENTER: _told("enter", "members"),
    SET_STATE: _told("set_state", "members"),
    LEAVE: _told("leave", "members"),
    MEMBERS: _told("present", "members"),
    MEMBER_COUNT: _told("member_count", "members"),
    NODE_MEMBERS: _told("node_members", "members"),
}
"""Scripts that announce, as they are where webhooks wait."""

ALL: Sequence[Script] = (
    PUBLISH,
    READ,
    SNAPSHOT,
    TOP,
    INBOX,
    DELETE,
    DELETE_KEY,
    LEASED,
    ENTER,
    SET_STATE,
    LEAVE,
    MEMBERS,
    MEMBER_COUNT,
    NODE_MEMBERS,
    DUE_ADD,
    DUE_TAKE,
    DUE_DONE,
    NODES,
    REVOCATIONS,
    SETTINGS,
    DEAD_LETTERS,
    INTENTS_PUSH,
    INTENTS_TAKE,
    INTENTS_SETTLE,
    OCCUPANCY,
    CONNECTIONS,
    *TOLD.values(),
)

SOURCES: Sequence[bytes] = [script.source for script in ALL]

"""Patterns of grants that can match no channel: a slip that nothing refuses, and that gives nobody anything."""

import difflib
import re
from collections.abc import Iterable

from ..namespaces import Namespaces
from ..protocol.channels import RESERVED, is_channel

_TEMPLATE = re.compile(r"\{[^{}]*\}")
_SOME = "x"  # stands for what a star or a template may be


def why_dead(pattern: str, namespaces: Namespaces) -> str | None:
    """Why no channel of this hub's `namespaces` fits `pattern`, in words; None where one may. `{claim}` in the
    pattern of a role stands for anything."""
    names = {RESERVED, *(name for name, _ in namespaces.items())}
    before, colon, rest = _TEMPLATE.sub("*", pattern).partition(":")
    if not colon and "*" not in before:
        return f"a channel is named namespace:rest, and there is no colon in it{_meant(before, names)}"
    head, star, _ = before.partition("*")
    if star and not any(name.startswith(head) for name in names):
        return f"no namespace here begins with {head}{_meant(head, names)}"
    if not star and head not in names:
        return f"there is no namespace {head} here{_meant(head, names)}"
    tail = (rest if colon else before).replace("*", _SOME)
    if not is_channel(f"{RESERVED}:{tail}"):
        return "after the colon stand 1 to 200 printable ASCII characters without space and / \\ ? # % { }"
    return None


def _meant(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, [*names], n=1)
    return f"; did you mean {near[0]}:*?" if near else ""

"""Templates of settings: ``order:{data.aggregate_id}``, with ``|slug`` where a value has to fit a channel's name.

0.6 µs a message, where a general template engine costs twenty times that; for anything cleverer there is jmespath
(`filter`, `payload`).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_PIECE = re.compile(r"\{([^{}]*)\}")
_PATH = re.compile(r"[A-Za-z_][\w-]*(?:\.[\w-]+)*\Z")
_NO_SLUG = re.compile(r"[^a-z0-9._-]+")

Document = Mapping[str, Any]
Get = Callable[[Document], Any]


class BadTemplate(ValueError):
    """A template of the settings is wrong, in words."""


class Missing(ValueError):
    """A message does not have what a template names, or has it in another form."""


def path(text: str) -> Get:
    """A reader of a dotted path; it raises `Missing`.

    Raises:
        BadTemplate: it is none.
    """
    if _PATH.match(text) is None:
        raise BadTemplate(f"{text!r} is no path like data.order.id")
    steps = text.split(".")
    return _short(steps[0], steps[1], text) if len(steps) == 2 else _long(steps, text)


def _long(steps: Sequence[str], text: str) -> Get:
    def get(document: Document) -> Any:
        value: Any = document
        for step in steps:
            try:
                value = value[int(step)] if isinstance(value, list) else value[step]
            except (KeyError, IndexError, TypeError, ValueError):
                raise Missing(f"the message has no {text}") from None
        return value

    return get


def _short(first: str, second: str, text: str) -> Get:
    """A path of two steps, as most are: in a third of the time."""
    long = _long((first, second), text)

    def get(document: Document) -> Any:
        try:
            return document[first][second]
        except (KeyError, IndexError, TypeError):
            return long(document)  # through a list, or in words why not

    return get


def slug(value: str) -> str:
    """Lower case, and a hyphen for each run of characters that has no place in a channel's name."""
    return _NO_SLUG.sub("-", value.lower()).strip("-")


def template(text: str) -> Get:
    """A reader of a template; a template that is one path alone gives the value as it is, a list too.

    Raises:
        BadTemplate: a brace stands alone, a path or a filter is none.
    """
    if not _PIECE.search(text):
        if "{" in text or "}" in text:
            raise BadTemplate(f"a brace stands alone in {text!r}")
        return lambda document: text
    if (whole := _PIECE.fullmatch(text)) and "|" not in whole[1]:
        return path(whole[1].strip())
    parts: list[str | Get] = []
    end = 0
    for found in _PIECE.finditer(text):
        parts += [text[end : found.start()], _piece(found[1])]
        end = found.end()
    parts.append(text[end:])
    if any(isinstance(part, str) and ("{" in part or "}" in part) for part in parts):
        raise BadTemplate(f"a brace stands alone in {text!r}")

    if len(pieces := [part for part in parts if part != ""]) == 2 and isinstance(pieces[0], str):
        before, get = pieces
        assert not isinstance(get, str)
        return lambda document: f"{before}{get(document)}"  # most are of this kind

    def fill(document: Document) -> str:
        return "".join(part if isinstance(part, str) else part(document) for part in parts)

    return fill


def _piece(text: str) -> Get:
    name, bar, how = (part.strip() for part in text.partition("|"))
    if bar and how != "slug":
        raise BadTemplate(f"{how!r} is no filter of templates; there is slug")
    get = path(name)

    def text_of(document: Document) -> str:
        value = as_text(get(document), name)
        return slug(value) if bar else value

    return text_of


def as_text(value: Any, name: str) -> str:
    """A string or a whole number as text.

    Raises:
        Missing: it is neither.
    """
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    kind = "empty" if value == "" else "null" if value is None else type(value).__name__
    raise Missing(f"{name} is {kind}, neither text nor a whole number")

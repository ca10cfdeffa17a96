"""Single fields of a decoded message: each is read and checked here, whichever command it stands in."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .channels import namespace_of
from .codec import describe
from .codes import ErrorCode
from .errors import HubError
from .position import MAX_OFFSET, Position

CommandId = str | int | None

# RFC 3339, section 5.6; a leap second is none of the calendar's.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)
MAX_NAME = 128  # characters of an event's type, key and id, of a command's id


def command_id(message: Mapping[str, Any]) -> CommandId:
    """The `id` of a message, None where it has none that could be echoed."""
    value = message.get("id")
    if isinstance(value, str) and len(value) <= MAX_NAME:
        return value
    return value if type(value) is int and abs(value) <= MAX_OFFSET else None


def channel(message: Mapping[str, Any]) -> str:
    """The field `channel`, inside the grammar."""
    value = message.get("channel")
    if not isinstance(value, str):
        raise bad(f"channel must be a string, {found(message, 'channel')}")
    namespace_of(value)
    return value


def name(message: Mapping[str, Any], field: str, most: int = MAX_NAME) -> str:
    """A field that is a name: some printable characters."""
    value = message.get(field)
    if not isinstance(value, str) or not 1 <= len(value) <= most or not value.isprintable():
        raise bad(f"{field} must be a string of 1 to {most} printable characters")
    return value


def optional_name(message: Mapping[str, Any], field: str) -> str | None:
    """As `name`, None where it is missing or null."""
    return None if message.get(field) is None else name(message, field)


def flag(message: Mapping[str, Any], field: str, default: bool) -> bool:
    """A field that is true or false."""
    value = message.get(field, default)
    if not isinstance(value, bool):
        raise bad(f"{field} must be true or false, not {describe(value)}")
    return value


def position(value: Any, field: str) -> Position:
    """A position, as an object or as text."""
    if isinstance(value, str):
        return Position.parse(value)
    if not isinstance(value, dict):
        raise bad(f"{field} must be an object with epoch and offset, not {describe(value)}")
    return Position.checked(value.get("epoch"), value.get("offset"))


def moment(value: Any, field: str) -> int:
    """A moment, as ms since 1970 or as RFC 3339 text: ms since 1970."""
    if type(value) is int and 0 <= value <= MAX_OFFSET:
        return value
    try:
        if not isinstance(value, str) or _MOMENT.match(value) is None:
            raise ValueError(value)
        since_1970 = datetime.fromisoformat(value.upper()) - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        raise bad(
            f"{field} must be ms since 1970 or a time of RFC 3339 (2026-01-01T00:00:00Z), not {describe(value)}"
        ) from None
    return max(0, int(since_1970.total_seconds() * 1000))


def text_moment(text: str, field: str) -> int:
    """As `moment`, where a number too is text, as in a query."""
    digits = text.isascii() and text.isdigit() and len(text) <= 16
    return moment(int(text) if digits else text.replace(" ", "+"), field)  # a "+" that was not quoted


def optional_moment(message: Mapping[str, Any], field: str) -> int | None:
    """As `moment`, None where it is missing or null."""
    return None if message.get(field) is None else moment(message[field], field)


def pair(value: Any, field: str, first: str) -> tuple[int, int]:
    """A number n, which means (0, n), or two of them; `first` says what the first one is."""
    major, number = value if type(value) is list and len(value) == 2 else (0, value)
    if not (type(major) is type(number) is int and 0 <= major <= MAX_OFFSET and 0 <= number <= MAX_OFFSET):
        raise bad(f"{field} must be an integer from 0 to 2^53-1, or [{first}, number] of two such")
    return major, number


def found(message: Mapping[str, Any], field: str) -> str:
    """What stands in a field instead, for reasons."""
    return f"not {describe(message[field])}" if field in message else "and it is missing"


def bad(why: str) -> HubError:
    """The message is wrong, and why."""
    return HubError(ErrorCode.BAD_MESSAGE, why)

"""Settings as a page may show them: of what is secret only whether it is there."""

import re
from typing import Any

from pydantic import BaseModel, SecretStr

from ..settings import Settings

SECRET = "(set)"  # noqa: S105  # it stands in the place of one
_USER_INFO = re.compile(r"(?<=://)[^/@\s]*@")
_QUERY = re.compile(r"(?<=\?)[^\s,]*")
_SUSPECT = re.compile("secret|password|token|key|credential", re.IGNORECASE)  # in tables of no fixed fields
_NAMED = ("name", "kind", "url", "path", "channel")
"""What is told of bridges and hooks: the rest may hold passwords under any name."""


def public(settings: Settings) -> dict[str, Any]:
    """Every setting by its name: `value`, and whether it is the `default`."""
    found = {}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        found[name] = {
            "value": _shown(name, value),
            "default": value == field.get_default(call_default_factory=True),
        }
    return found


def _shown(name: str, value: Any) -> Any:
    if name in ("hooks", "bridges"):
        return [{key: _plain(each[key]) for key in _NAMED if key in each} for each in value]
    if name in ("dapr", "cloudevents"):
        return None if value is None else SECRET
    return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return SECRET
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, dict):
        return {
            str(name): SECRET if isinstance(each, str) and _SUSPECT.search(str(name)) else _plain(each)
            for name, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, str):
        return _without_secrets(value)
    return value


def _without_secrets(text: str) -> str:
    """An address may hold a user, a password, or both in its query."""
    return _QUERY.sub(SECRET, _USER_INFO.sub("", text)) if "://" in text else text

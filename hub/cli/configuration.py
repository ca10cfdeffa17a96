"""Settings read for a person: what is wrong with them becomes lines in plain words, without any value."""

import difflib
import json
import os
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError

from ..settings import Settings
from .failure import Failure

EXAMPLES = {
    "api_keys": """'{"backend":"a-key-of-16-bytes-or-more"}'""",
    "oidc_clients": """'["my-web-app"]'""",
    "roles": """'{"operator":{"subscribe":["job:*"]}}'""",
    "allowed_origins": """'["https://app.example.com"]'""",
    "trusted_proxies": """'["10.0.0.0/8"]'""",
    "jwt_algorithms": """'["RS256"]'""",
    "namespaces": """'{"chat":{"mode":"log","client_publish":true}}'""",
}

_FIELD = re.compile(r'field "(\w+)"')
_WHERE_PORT_IS_FROM = (
    "Kubernetes sets HUB_PORT for a Service that is named hub: name it otherwise, "
    "or set enableServiceLinks: false in the pod"
)


def load(**given: Any) -> Settings:
    """The settings; `given` by arguments win where they are not None.

    Raises:
        Failure: a line for each setting that is wrong.
    """
    arguments = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(**arguments)
    except ValidationError as error:
        raise Failure(*(_in_words(each, arguments) for each in error.errors(include_input=False))) from None
    except SettingsError as error:
        raise Failure(*_not_json(error)) from None
    except tomllib.TOMLDecodeError as error:
        raise Failure(f"{file_name()}: {error}") from None
    except FileNotFoundError as error:
        raise Failure(str(error)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{file_name()} can't be read: {type(error).__name__}") from None


def file_name() -> str:
    """How the file of settings is called, for a person."""
    return os.environ.get("HUB_CONFIG") or "hub.toml"


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"HUB_{name.upper()}"


def _in_words(error: Any, arguments: Mapping[str, Any]) -> str:
    """One error of pydantic's, by the name under which the person has set it."""
    path = [str(part) for part in error["loc"]]
    name = _named(path, arguments)
    if error["type"] == "extra_forbidden":
        names = [field for field in Settings.model_fields if len(path) == 1]
        near = difflib.get_close_matches(path[-1], names, n=1)
        return f"{name} is no setting" + (f"; did you mean {near[0]}?" if near else "")
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    text = f"{name}: {message[:1].lower()}{message[1:]}"
    if path == ["port"] and os.environ.get("HUB_PORT", "").startswith(("tcp://", "udp://")):
        text += f" ({_WHERE_PORT_IS_FROM})"
    return text


def _named(path: list[str], arguments: Mapping[str, Any]) -> str:
    field = path[0] if path else "settings"
    below = "".join(f"[{part}]" for part in path[1:])
    if field in arguments:
        return f"--{field}"
    if variable(field) in {name.upper() for name in os.environ}:
        return f"{variable(field)}{below}"
    return f"{'.'.join(path)} in {file_name()}"


def _not_json(error: SettingsError) -> list[str]:
    """pydantic-settings stops at the first list or table that is no JSON, and quotes it: all are named here."""
    wrong = [name for name in EXAMPLES if not _is_json(os.environ.get(variable(name)))]
    if not wrong:
        found = _FIELD.search(str(error))
        return [f"{variable(found[1])} can't be read" if found else "the environment can't be read"]
    return [f"{variable(name)} must be JSON, as in {variable(name)}={EXAMPLES[name]}" for name in wrong]


def _is_json(text: str | None) -> bool:
    try:
        json.loads(text or "null")
    except ValueError:
        return False
    return True

"""Console lines: what a person types into wscat, turned into the same commands (docs/protocol.md, section 11)."""

from typing import Any

from .codec import loads_json
from .codes import ErrorCode
from .errors import HubError
from .payloads import payload_of
from .position import Position

USAGE = {
    "help": "help",
    "auth": "auth <jwt>",
    "sub": "sub <channel> [since <epoch>:<offset>]",
    "unsub": "unsub <channel>",
    "pub": "pub <channel> <event> <json>",
    "who": "who <channel>",
    "history": "history <channel> [limit]",
    "ping": "ping",
}


def is_console_line(text: bytes) -> bool:
    """Whether a text frame is a line typed by a person rather than JSON."""
    return text[:1] not in (b"{", b"[")


def parse_line(line: str) -> dict[str, Any]:
    """The message that a console line stands for; ``help`` stands for type ``help``.

    Raises:
        HubError: ``bad_message`` with the usage of that line.
    """
    word, _, rest = line.strip().partition(" ")
    rest = rest.strip()
    if word in ("help", "ping"):
        return {"type": word}
    if word == "auth" and rest:
        return {"type": "authenticate", "token": rest}
    if word == "sub" and rest:
        return _subscribe(rest.split())
    if word in ("unsub", "who") and rest:
        return {"type": "unsubscribe" if word == "unsub" else "presence", "channel": rest}
    if word == "pub":
        return _publish(rest)
    if word == "history" and rest:
        return _history(rest.split())
    if word in USAGE:
        raise _usage(word)
    raise HubError(ErrorCode.UNKNOWN_TYPE, "not a console line that the hub knows; type help")


def _subscribe(words: list[str]) -> dict[str, Any]:
    if len(words) == 1:
        return {"type": "subscribe", "channel": words[0]}
    if len(words) == 3 and words[1] == "since":
        position = Position.parse(words[2])
        return {"type": "subscribe", "channel": words[0], "since": position._asdict()}
    raise _usage("sub")


def _publish(rest: str) -> dict[str, Any]:
    words = rest.split(maxsplit=2)
    if len(words) != 3:
        raise _usage("pub")
    payload = payload_of(loads_json(words[2]), words[2].encode())
    return {"type": "publish", "channel": words[0], "event": words[1], "payload": payload}


def _history(words: list[str]) -> dict[str, Any]:
    if len(words) == 1:
        return {"type": "history", "channel": words[0]}
    if len(words) == 2 and words[1].isascii() and words[1].isdigit():
        return {"type": "history", "channel": words[0], "limit": int(words[1])}
    raise _usage("history")


def _usage(word: str) -> HubError:
    return HubError(ErrorCode.BAD_MESSAGE, f"usage: {USAGE[word]}")

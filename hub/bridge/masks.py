"""What a dead letter does not show: the values at `mask`, in its publication and in its bytes as they came."""

import re
from collections.abc import Callable
from dataclasses import replace

import orjson

from hub.protocol.masking import digest, masked

from .letters import Letter
from .settings import MappingSettings

_PLAIN = re.compile(r"data((?:\.[A-Za-z_][\w-]*)*)\Z")
_PAYLOAD = "payload."


def masker(settings: MappingSettings) -> Callable[[Letter], Letter]:
    """What hides in letters what the settings name (``payload.card.number``); a replay publishes what is left.

    Bytes that can't be masked (no JSON, a `payload` that is no plain path) are kept as their length and digest.
    """
    if not settings.mask:
        return lambda letter: letter
    inside = _inside(settings)

    def mask(letter: Letter) -> Letter:
        event = letter.event
        if event is not None:
            event = masked(orjson.loads(orjson.dumps(event)), settings.mask, settings.mask_how)
        return replace(letter, body=_body(letter.body, inside, settings.mask_how), event=event)

    return mask


def _inside(settings: MappingSettings) -> list[str] | None:
    """Where in a message the masked values stand; None where the mapping does not tell."""
    plain = _PLAIN.match(settings.payload)
    if plain is None or any(not path.startswith(_PAYLOAD) for path in settings.mask):
        return None
    paths = [f"{plain[1]}.{path.removeprefix(_PAYLOAD)}".removeprefix(".") for path in settings.mask]
    # A CloudEvent bears its data inside, or, in binary mode, is the data.
    return paths if settings.format == "json" else [*paths, *(f"data.{path}" for path in paths)]


def _body(body: bytes, inside: list[str] | None, how: str) -> bytes:
    if inside is not None:
        try:
            return orjson.dumps(masked(orjson.loads(body), inside, how))
        except (orjson.JSONDecodeError, orjson.JSONEncodeError):
            pass
    return orjson.dumps({"bytes": len(body), "sha256": digest(body)})

"""``hub bridge replay``: a topic is read from its beginning again, as another life of it."""

import re
import tomllib
from pathlib import Path

from ..bridge.settings import BridgeSettings
from .failure import Failure

_GENERATION = re.compile(r"^generation[ \t]*=[ \t]*\w+", re.MULTILINE)
_TABLE = re.compile(r"^\[\[bridges\]\][^\n]*\n", re.MULTILINE)
_NEXT = re.compile(r"^\[", re.MULTILINE)


def replay(path: Path, bridges: list[BridgeSettings]) -> list[str]:
    """Raise the `generation` of bridges in their file; what was done, in words.

    Raises:
        Failure: one is of a kind that has none, or the file can't be written.
    """
    for each in bridges:
        if each.kind != "kafka":
            raise Failure(
                f"bridge {each.name} reads {each.kind}, which says itself when it begins anew: only Kafka's "
                f"`generation` is a setting; name one with --only"
            )
    text = path.read_text()
    said = []
    for each in bridges:
        generation = (each.generation or 0) + 1
        text = raised(text, each.name, generation)
        said.append(
            f"{each.name}: generation = {generation}: read from the beginning by the group "
            f"{each.group}-{generation}, and every message is a new one; start its bridges again"
        )
    try:
        path.write_text(text)
    except OSError as error:
        raise Failure(
            f"{path} can't be written: {type(error).__name__}; set there: {'; '.join(said)}"
        ) from None
    return said


def raised(text: str, name: str, generation: int) -> str:
    """The TOML with this `generation` in the table of the bridge `name`; all else stays as it is.

    Raises:
        Failure: the table is not written as ``[[bridges]]``.
    """
    for head in _TABLE.finditer(text):
        end = following.start() if (following := _NEXT.search(text, head.end())) else len(text)
        table = text[head.end() : end]
        if tomllib.loads(table).get("name") != name:
            continue
        line = f"generation = {generation}"
        table = _GENERATION.sub(line, table) if _GENERATION.search(table) else f"{line}\n{table}"
        return text[: head.end()] + table + text[end:]
    raise Failure(f"there is no [[bridges]] of the name {name} to write into: set generation = {generation}")

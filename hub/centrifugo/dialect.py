"""How messages of the Centrifugo protocol are written, by what carries them.

    form          what stands in it
    ------------  -----------------------------------------------------------------
    JSON          a text frame: lines of JSON, a line end between two
    PROTOBUF      a binary frame: messages behind their lengths
    LINES         an HTTP answer: lines of JSON
    LENGTHS       an HTTP answer: messages behind their lengths
    EVENTS        an HTTP answer: server-sent events, a line of JSON each

    ONE_WAY_JSON, ONE_WAY_LINES, ONE_WAY_EVENTS
                  the same for clients that only listen: what a push says, without its envelope

An answer over HTTP has no closing handshake: there the end is told by a push `disconnect`, and so it is to who only
listens.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ..protocol.dialects import Dialect
from ..protocol.frames import Encoding, frame
from . import codes, protobuf
from .names import HubNames
from .pushes import is_lost, pushes

Message = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """See the module's head. `joined` puts encoded messages into what is sent."""

    name: str
    joined: Callable[[Iterable[bytes]], bytes]
    binary: bool = False
    one_way: bool = False
    tells_end: bool = True


def _text_frame(lines: Iterable[bytes]) -> bytes:
    return frame(b"\n".join(lines), Encoding.JSON)


def _binary_frame(messages: Iterable[bytes]) -> bytes:
    return frame(b"".join(messages), Encoding.MSGPACK)


def _lines(lines: Iterable[bytes]) -> bytes:
    return b"".join([b"%s\n" % line for line in lines])


def _events(lines: Iterable[bytes]) -> bytes:
    return b"".join([b"data: %s\n\n" % line for line in lines])


JSON = Form("centrifugo_json", _text_frame, tells_end=False)
PROTOBUF = Form("centrifugo_protobuf", _binary_frame, binary=True, tells_end=False)
LINES = Form("centrifugo_http_stream", _lines)
LENGTHS = Form("centrifugo_http_stream_protobuf", b"".join, binary=True)
EVENTS = Form("centrifugo_sse", _events)
ONE_WAY_JSON = Form("centrifugo_uni_websocket", _text_frame, one_way=True)
ONE_WAY_LINES = Form("centrifugo_uni_http_stream", _lines, one_way=True)
ONE_WAY_EVENTS = Form("centrifugo_uni_sse", _events, one_way=True)

FORMS = (JSON, PROTOBUF, LINES, LENGTHS, EVENTS, ONE_WAY_JSON, ONE_WAY_LINES, ONE_WAY_EVENTS)


class CentrifugoDialect(Dialect):
    """One form, for clients that name channels as `names` has it."""

    def __init__(self, form: Form, names: HubNames) -> None:
        self.form = form
        self.names = names
        self.name = form.name
        self.is_text = not form.binary

    def frames(self, message: Message) -> bytes:
        """See `Dialect`."""
        if message["type"] == "hub.close":
            return self.framed([_disconnect(message)]) if self.form.tells_end else b""
        return self.framed(pushes(message))

    def ends(self, message: Message) -> bool:
        """See `Dialect`."""
        return is_lost(message)

    def framed(self, messages: Sequence[Message]) -> bytes:
        """Replies and pushes, in whose pushes channels have the hub's names, as they are sent together; nothing
        where there are none."""
        form = self.form
        for message in messages:
            if "push" in message and "channel" in message["push"]:
                push = message["push"]
                push["channel"] = self.names.outward(push["channel"])
        if form.one_way:
            messages = [told for told in map(_told, messages) if told is not None]
        if not messages:
            return b""
        return form.joined([_message(each) if form.binary else _line(each) for each in messages])


def _disconnect(message: Message) -> Message:
    code = codes.closing(message["code"])
    return {"push": {"disconnect": {"code": code, "reason": message["reason"]}}}


def _told(message: Message) -> Message | None:
    """What somebody who asks nothing is told of it; None where that is nothing."""
    if "push" in message:
        push: Message = message["push"]
        return push
    if "connect" in message:
        return {"connect": message["connect"]}
    return message if not message else None  # a ping


def _message(reply: Message) -> bytes:
    return protobuf.delimited(protobuf.encode("Reply", reply))


def _line(reply: Mapping[str, Any]) -> bytes:
    """Raw line ends stand between the values of a payload only, where any space will do."""
    line = orjson.dumps(reply)
    if b"\n" in line or b"\r" in line:
        return line.replace(b"\n", b" ").replace(b"\r", b" ")
    return line

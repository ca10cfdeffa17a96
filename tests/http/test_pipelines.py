"""Pipelined requests of a client that heeds back-pressure: whatever waits, wherever reads end, all are answered."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from hub.broker.base import Published
from hub.protocol.errors import HubError
from hub.protocol.event import Publication

from ..support.pace import SCALE
from .test_direct import DOC, KEY, TOKEN, Line, Server, publish, request, serving

_requests = st.sampled_from(
    [
        publish(),
        publish(),
        request("POST", "/v1/publish", json.dumps(DOC).encode(), TOKEN),
        request("POST", "/v1/publish", json.dumps(DOC).encode(), "wrong"),
        request("POST", "/v1/publish?a=b", json.dumps(DOC).encode()),
        request("POST", "/v1/batch", json.dumps({"events": [DOC] * 70}).encode()),
        request("POST", "/v1/publish", json.dumps({**DOC, "payload": "x" * 90_000}).encode()),
        request("GET", "/livez", credentials=None),
        request("GET", "/v1/channels/doc:1", credentials=KEY),
    ]
)


async def _answers(
    server: Server, pieces: Sequence[bytes], turns: Sequence[int], stops: Sequence[int]
) -> Line:
    """`turns`: how many of the loop each publication waits for its storage; `stops`: pieces before which the
    client's side takes nothing for a while."""
    node = server.hub.node
    assert node is not None
    store = node.broker.publish
    waits = iter(turns)

    async def slow(events: Sequence[Publication], *, ordered: bool = False) -> list[Published | HubError]:
        for _ in range(next(waits, 0)):
            await asyncio.sleep(0)
        return await store(events, ordered=ordered)

    node.broker.publish = slow  # type: ignore[assignment, method-assign]
    connection, line = server.connect()
    for number, piece in enumerate(pieces):
        if number in stops:
            connection.pause_writing()
            asyncio.get_running_loop().call_later(0.001, connection.resume_writing)
        while line.paused:
            await asyncio.sleep(0)
        if line.closed:
            break
        connection.data_received(piece)
        await asyncio.sleep(0)
    await server.settled()
    for _ in range(30):
        await asyncio.sleep(0)
    connection.connection_lost(None)
    return line


@given(
    st.lists(_requests, min_size=1, max_size=24),
    st.lists(st.sampled_from([0, 0, 1, 3, 8]), max_size=24),
    st.lists(st.integers(0, 6), max_size=2),
    st.data(),
)
@effort(max_examples=200, deadline=None)
def test_each_is_answered_once(
    requests: list[bytes], turns: list[int], stops: list[int], data: st.DataObject
) -> None:
    sent = b"".join(requests)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=6)))
    pieces = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True) if b > a]

    async def told() -> Any:
        async with serving(command_rate=1e6, command_burst=10**6) as server, asyncio.timeout(20 * SCALE):
            return await _answers(server, pieces, turns, stops)

    line = asyncio.run(told())
    answers = b"".join(line.writes).split(b"HTTP/1.1 ")[1:]
    if line.closed:  # a refusal before the body ends the connection where its rest is too long to be read
        assert answers[-1].startswith((b"401", b"403", b"413"))
    else:
        assert len(answers) == len(requests)

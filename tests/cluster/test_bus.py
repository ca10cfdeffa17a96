"""Commands between nodes: whatever bytes come, nothing is raised, and only fresh signed ones do something."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from hub.auth.signing import Signer
from hub.cluster.bus import CommandBus
from hub.runtime.counters import Counters
from hub.runtime.tasks import Tasks

NOW = 1_000_000.0
SIGNER = Signer("secret", "node")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2**40) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


ORIGIN = {"from": "n_2", "number": 1, "at": NOW}


def make() -> tuple[CommandBus, list[Any], Counters]:
    done: list[Any] = []
    metrics = Counters()
    control = CommandBus("n_1", None, SIGNER, Tasks(), metrics, lambda: NOW)  # type: ignore[arg-type]
    control.handlers["disconnect"] = lambda command: done.append(command["user"])
    return control, done, metrics


def signed(fields: Any, signer: Signer = SIGNER) -> bytes:
    return signer.sign(orjson.dumps(fields)).encode()


def test_a_fresh_signed_command_is_done() -> None:
    control, done, _ = make()
    control.on_command(signed({"do": "disconnect", **ORIGIN, "user": "ann"}))
    assert done == ["ann"]


def test_a_command_is_done_once() -> None:
    """Who can read what nodes send can write it back; it has no effect, also after the clock was set back."""
    control, done, metrics = make()
    data = signed({"do": "disconnect", **ORIGIN, "user": "ann"})
    for _ in range(3):
        control.on_command(data)
    assert done == ["ann"]
    assert metrics.errors["foreign_command"] == 2
    control.on_command(signed({"do": "disconnect", **ORIGIN, "number": 2, "user": "bob"}))
    control.on_command(signed({"do": "disconnect", **ORIGIN, "from": "n_3", "user": "eve"}))
    assert done == ["ann", "bob", "eve"]


def test_what_is_remembered_is_forgotten_once_it_is_too_old() -> None:
    now = NOW
    control = CommandBus("n_1", None, SIGNER, Tasks(), Counters(), lambda: now)  # type: ignore[arg-type]
    for number in range(1000):
        now += 1.0
        control.on_command(signed({"do": "nothing", "from": "n_2", "number": number, "at": now}))
    assert len(control._seen) <= 122


def test_foreign_stale_and_broken_ones_are_counted_and_do_nothing() -> None:
    control, done, metrics = make()
    command = {"do": "disconnect", **ORIGIN, "user": "ann"}
    for data in (
        signed(command, Signer("another", "node")),
        signed(command, Signer("secret", "ticket")),
        signed({**command, "at": NOW - 61}),
        signed({**command, "at": NOW + 61}),
        signed({**command, "at": "now"}),
        signed({**command, "number": None}),
        signed({**command, "from": ["n_2"]}),
        SIGNER.sign(b"{").encode(),
        SIGNER.sign(b"").encode(),
        signed([]),
        signed(None),
        b"",
        b"\xff\x00",
    ):
        control.on_command(data)
    assert done == []
    assert metrics.errors["foreign_command"] == 13


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    control, done, _ = make()
    control.on_command(data)
    control.on_command(SIGNER.sign(data).encode())
    assert done == []


@given(st.dictionaries(st.sampled_from(["do", "at", "question", "answer", "user"]), JSON), JSON)
def test_any_signed_body(fields: dict[str, Any], other: Any) -> None:
    control, _, _ = make()
    control.on_command(signed(other))
    for number, do in enumerate(("answer", "disconnect", "nothing")):
        control.on_command(signed({**fields, "do": do, **ORIGIN, "number": number}))


def test_what_was_sent_before_a_nodes_start_is_not_done_by_it() -> None:
    """Who has recorded a command can write it back to a node that has never heard it."""
    control, done, counters = make()
    control.on_command(signed({"do": "disconnect", **ORIGIN, "at": NOW - 5, "user": "ann"}))
    assert (done, counters.errors["foreign_command"]) == ([], 1)

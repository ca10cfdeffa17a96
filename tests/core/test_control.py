"""Commands between nodes: whatever bytes come, nothing is raised, and only fresh signed ones do something."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from hub.auth.signing import Signer
from hub.control import Control
from hub.metrics import Metrics
from hub.tasks import Tasks

NOW = 1_000_000.0
SIGNER = Signer("secret", "node")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2**40) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def make() -> tuple[Control, list[Any], Metrics]:
    done: list[Any] = []
    metrics = Metrics()
    control = Control("n_1", None, SIGNER, Tasks(), metrics, lambda: NOW)  # type: ignore[arg-type]
    control.handlers["disconnect"] = lambda command: done.append(command["user"])
    return control, done, metrics


def signed(fields: Any, signer: Signer = SIGNER) -> bytes:
    return signer.sign(orjson.dumps(fields)).encode()


def test_a_fresh_signed_command_is_done() -> None:
    control, done, _ = make()
    control.on_command(signed({"do": "disconnect", "at": NOW, "user": "ann"}))
    assert done == ["ann"]


def test_foreign_stale_and_broken_ones_are_counted_and_do_nothing() -> None:
    control, done, metrics = make()
    command = {"do": "disconnect", "at": NOW, "user": "ann"}
    for data in (
        signed(command, Signer("another", "node")),
        signed(command, Signer("secret", "ticket")),
        signed({**command, "at": NOW - 61}),
        signed({**command, "at": NOW + 61}),
        signed({**command, "at": "now"}),
        SIGNER.sign(b"{").encode(),
        SIGNER.sign(b"").encode(),
        signed([]),
        signed(None),
        b"",
        b"\xff\x00",
    ):
        control.on_command(data)
    assert done == []
    assert metrics.errors["foreign_command"] == 11


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
    for do in ("answer", "disconnect", "nothing"):
        control.on_command(signed({**fields, "do": do, "at": NOW}))

"""``hub bridge`` and ``hub serve --bridges``, as far as they need no server of other makers."""

import json
import subprocess
import time
import tomllib
from pathlib import Path

from ..sources.process import Process, listens
from ..support.pace import SCALE
from ..support.server import free_port, running_hub
from .command import hub

TABLES = """
[[bridges]]  # what the shop sells
name = "orders"
kind = "kafka"
servers = ["127.0.0.1:9092"]
topics = ["orders"]
channel = "order:{data.order}"
event = "{data.kind}"

[[bridges]]
name = "stock"
generation = 4 # since the move
kind = "kafka"
servers = ["127.0.0.1:9092"]
topics = ["stock"]
channel = "stock:{data.item}"
event = "{data.kind}"

[log]
level = "info"
"""


def test_a_replay_raises_the_generation_and_leaves_all_else(tmp_path: Path) -> None:
    file = tmp_path / "hub.toml"
    file.write_text(TABLES)
    for _ in range(2):
        result = hub("bridge", "replay", "--only", "orders", folder=tmp_path)
        assert result.status == 0, result
    assert "orders: generation = 2: read from the beginning by the group hub-2" in result.out
    assert hub("bridge", "replay", "--only", "stock", folder=tmp_path).status == 0
    text = file.read_text()
    assert [each["generation"] for each in tomllib.loads(text)["bridges"]] == [2, 5]
    changed = [line for line in text.splitlines() if line not in TABLES.splitlines()]
    assert changed == ["generation = 2", "generation = 5 # since the move"]


def test_what_numbers_its_lives_itself_is_not_replayed(tmp_path: Path) -> None:
    table = TABLES.split("[[bridges]]")[1].replace('"kafka"', '"nats"').replace("topics = [", "subject = [")
    file = tmp_path / "hub.toml"
    file.write_text("[[bridges]]" + table.replace('subject = ["orders"]', 'stream = "orders"'))
    before = file.read_text()
    result = hub("bridge", "replay", folder=tmp_path)
    assert result.status != 0
    assert "only Kafka's `generation` is a setting" in result.err
    assert file.read_text() == before


def test_a_hub_serves_with_its_bridges_inside(tmp_path: Path) -> None:
    port = free_port()
    redis = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    bridge = {
        "name": "orders",
        "kind": "redis_stream",
        "url": f"redis://127.0.0.1:{port}",
        "streams": ["orders"],
        "channel": "order:{data.order}",
        "event": "paid",
    }
    with (
        Process(redis, tmp_path, listens(port)),
        running_hub("--bridges", bridges=[bridge], namespaces={"order": {"mode": "log"}}) as running,
    ):
        for order in ("7", "8"):
            add = ["redis-cli", "-p", str(port), "XADD", "orders", "*", "data", json.dumps({"order": order})]
            subprocess.run(add, check=True, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30 * SCALE
        while not running.http().get("/v1/channels/order:8/history").json()["events"]:
            assert time.monotonic() < deadline, running.log()
            time.sleep(0.05)
        assert running.stop() == 0


def test_what_bridges_inside_need_is_said(tmp_path: Path) -> None:
    result = hub("serve", "--bridges", "--port", "0", folder=tmp_path, jwt_secret="x" * 32)
    assert (result.status, result.err) == (1, "hub: --bridges: there are no [[bridges]] in hub.toml\n")

"""``hub bridge``: what needs no server."""

import tomllib
from pathlib import Path

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

"""``hub export`` and ``hub replay`` at a running hub."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.server import API_KEY, RunningHub, running_hub
from .command import Result, hub

PAYLOADS = ["1.50", '{"b":1,"a":"ä😀"}', "12345678901234567890123", "null", '"\\u2028 line"']


@pytest.fixture(scope="module")
def running() -> Iterator[RunningHub]:
    with running_hub() as found:
        body = ",".join(
            f'{{"channel":"doc:from","event":"e{at}","payload":{payload},"meta":{{"traceparent":"00-{at}"}}}}'
            for at, payload in enumerate(PAYLOADS)
        )
        answer = found.http().post("/v1/batch", content=f'{{"events":[{body}]}}')
        assert all("offset" in each for each in answer.json()["results"]), answer.text
        yield found


def run(running: RunningHub, folder: Path, *args: str, stdin: str = "") -> Result:
    return hub(*args, folder=folder, url=running.url, api_key=API_KEY, stdin=stdin)


def payloads(running: RunningHub, channel: str) -> list[str]:
    text = running.http().get(f"/v1/channels/{channel}/history").text
    return [json.dumps(event["payload"]) for event in json.loads(text)["events"]]


def test_there_and_back_byte_for_byte_once(running: RunningHub, tmp_path: Path) -> None:
    exported = run(running, tmp_path, "export", "doc:from")
    assert (exported.status, exported.err) == (0, "")
    lines = exported.out.splitlines()
    assert [line.rpartition('"payload":')[2] for line in lines] == [f"{each}}}" for each in PAYLOADS]
    file = tmp_path / "events.jsonl"
    # Cut in the midst: the first three, then all of it, then once more.
    file.write_text("\n".join(lines[:3]) + "\n")
    assert (
        run(running, tmp_path, "replay", str(file), "--into", "doc:to").out
        == "3 stored, 0 were there already\n"
    )
    file.write_text(exported.out)
    assert (
        run(running, tmp_path, "replay", str(file), "--into", "doc:to").out
        == "2 stored, 3 were there already\n"
    )
    assert (
        run(running, tmp_path, "replay", str(file), "--into", "doc:to").out
        == "0 stored, 5 were there already\n"
    )
    again = run(running, tmp_path, "export", "doc:to").out.splitlines()
    for line, copy in zip(lines, again, strict=True):
        kept, came = json.loads(line), json.loads(copy)
        assert (kept["type"], kept["meta"], kept["offset"]) == (came["type"], came["meta"], came["offset"])
        assert copy.rpartition('"payload":')[2] == line.rpartition('"payload":')[2]


def test_a_part_of_it(running: RunningHub, tmp_path: Path) -> None:
    events = running.http().get("/v1/channels/doc:from/history").json()
    epoch = events["epoch"]
    part = run(running, tmp_path, "export", "doc:from", "--since", f"{epoch}:1", "--until", f"{epoch}:3").out
    assert [json.loads(line)["offset"] for line in part.splitlines()] == [2, 3]
    assert run(running, tmp_path, "export", "doc:from", "--since", "2999-01-01T00:00:00Z").out == ""
    assert run(running, tmp_path, "export", "doc:from", "--until", "2000-01-01T00:00:00Z").out == ""
    lost = run(running, tmp_path, "export", "doc:from", "--since", "other:1")
    assert (lost.status, len(lost.out.splitlines())) == (1, 5)
    assert "not stored any more" in lost.err


def test_a_line_that_is_no_event(running: RunningHub, tmp_path: Path) -> None:
    good = '{"type":"e","payload":1}\n'
    for bad in ("{", "[]", '{"type":"e"}', '{"payload":1}'):
        result = run(running, tmp_path, "replay", "-", "--into", "doc:bad", stdin=good + bad)
        assert result.status == 1
        assert "line 2" in result.err


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("export", "doc:from", "--since", "soon"), "neither a position"),
        (("export", "nope:1"), "HTTP 404"),
        (("export", "cursor:1"), "HTTP 400"),
        (("replay", "none.jsonl", "--into", "doc:x"), "can't be read"),
        (("publish", "doc:x", "e", "1", "--meta", "[]"), "--meta"),
        (("publish", "doc:x", "e", "1", "--event-id-ttl", "soon"), "--event-id-ttl is"),
    ],
)
def test_what_is_wrong(running: RunningHub, tmp_path: Path, args: tuple[str, ...], says: str) -> None:
    result = run(running, tmp_path, *args)
    assert result.status == 1
    assert says in result.err


def test_replaying_into_an_ephemeral_channel_is_refused_by_line(running: RunningHub, tmp_path: Path) -> None:
    result = run(running, tmp_path, "replay", "-", "--into", "cursor:x", stdin='{"type":"e","payload":1}\n')
    assert result.status == 1
    assert "line 1: bad_message" in result.err


def test_publishing_with_all_that_it_takes(running: RunningHub, tmp_path: Path) -> None:
    options = ("--meta", '{"a":"b"}', "--source", "cli@2:17", "--event-id", "x", "--event-id-ttl", "1h")
    first = json.loads(run(running, tmp_path, "publish", "doc:all", "e", "1", *options).out)
    again = json.loads(run(running, tmp_path, "publish", "doc:all", "e", "2", *options).out)
    assert (first["offset"], again["offset"]) == (1, 1)
    [event] = running.http().get("/v1/channels/doc:all/history").json()["events"]
    assert event["meta"] == {"a": "b"}

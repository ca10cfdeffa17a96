"""What the docs show of frames, answers, claims and settings is what the hub sends, takes and reads."""

import base64
import json
import logging
import os
import re
import shutil
import subprocess
import time
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from hub.auth import claims
from hub.http.openapi import document
from hub.observe.audit import Action, AuditLog
from hub.protocol.commands import parse
from hub.protocol.console import USAGE, parse_line
from hub.publisher import SyncPublisher
from hub.settings import Settings, unknown_variables

from ..support.markdown import ROOT, Block
from ..support.pace import SCALE
from ..support.server import free_port
from .pages import every, of

JSON, TOML, YAML, HAPROXY = every("json"), every("toml"), every("yaml"), every("haproxy")
(SESSION,) = of("README.md", "text")
RECOVERY, LINES = of("docs/protocol.md", "text")
(STREAM,) = of("docs/http.md", "text")
LOG = of("docs/python.md", "text")[-1]
LOOKS_AT = [*JSON, *TOML, *YAML, *HAPROXY, SESSION, RECOVERY, LINES, STREAM, LOG]

WHSEC = "whsec_" + base64.b64encode(bytes(24)).decode()
CLAIMS = {"sub", "exp", "nbf", "iat", "iss", "aud", "jti", "channel", "hub"}
BODIES_OF_WEBHOOKS = {"id", "type", "time", "channel", "event"}


# Frames


@cache
def frames() -> dict[str, set[str]]:
    """The fields of each type of message, by the frames that both clients are tested with; of events under ''."""
    fields: dict[str, set[str]] = {"hub.welcome": {"resumable"}}
    for path in ("messages", "commands"):
        for each in json.loads((ROOT / "tests" / "golden" / f"{path}.json").read_text()):
            message = json.loads(each["json"])
            kind = message["type"] if path == "commands" or message["type"].startswith("hub.") else ""
            fields.setdefault(kind, set()).update(_fields(message))
    return fields


def _fields(message: dict[str, Any]) -> Iterator[str]:
    """Their names; of what a message holds itself as ``limits.channels``."""
    for name, value in message.items():
        yield name
        if isinstance(value, dict) and name not in ("payload", "meta", "state"):
            yield from (f"{name}.{inner}" for inner in value)


def frame(message: dict[str, Any]) -> None:
    """It is one of the hub's, or an event."""
    kind = message["type"] if message["type"].startswith("hub.") else ""
    unknown = set(_fields(message)) - frames()[kind]
    assert not unknown, f"{message['type']} has no {unknown}"
    for event in message.get("snapshot", ()):
        frame(event)


def shortened(text: str) -> dict[str, Any]:
    """A message of which the page leaves out a part, by …"""
    found: dict[str, Any] = json.loads(text.replace("[…]", "[]").replace(",…", ""))
    return found


def test_a_session_at_a_terminal_is_in_the_words_of_both() -> None:
    for line in SESSION.text.splitlines():
        typed = line.removeprefix("> ") if line.startswith("> ") else None
        frame(shortened(line.removeprefix("< "))) if typed is None else parse_line(typed)


def test_a_recovery_is_in_the_words_of_both() -> None:
    asked, answered, _ = RECOVERY.text.splitlines()
    parse(json.loads(asked.removeprefix("→ ")))
    frame(json.loads(answered.removeprefix("← ")))


def test_the_lines_that_a_person_types_are_those_that_are_known() -> None:
    lines = [line for row in LINES.text.splitlines() for line in re.split(r" {2,}", row)]
    for line in lines:
        parse_line(re.sub(r"[\[\]]", "", line))
    assert {line.split()[0] for line in lines} == set(USAGE)


def test_a_stream_has_the_blocks_of_one() -> None:
    first, *rest = STREAM.text.rstrip().split("\n\n")
    assert re.fullmatch(r"retry: \d+", first)
    for text in rest:
        fields = dict(line.split(": ", 1) for line in text.splitlines())
        message = shortened(fields["data"])
        assert message["type"] == fields["event"]
        frame(message)
        if "offset" in message:
            assert fields["id"] == f"k3f9:{message['offset']}"


# Objects


def answer(name: str, value: dict[str, Any]) -> None:
    """It is what the OpenAPI document calls so, with no field beside."""
    schemas = document("/ws")["components"]["schemas"]
    assert set(value) <= set(schemas[name]["properties"])
    whole = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
    jsonschema.Draft202012Validator(whole).validate(value)


def token(value: dict[str, Any]) -> None:
    """The hub takes these claims while they last."""
    assert set(value) <= CLAIMS
    if claims.is_channel_token(value):
        assert set(value["hub"]) <= set(claims.CHANNEL_FIELDS)
        claims.channel_right(value, value["exp"] - 60)
    else:
        assert set(value["hub"]) <= set(claims.HUB_FIELDS)
        claims.identity(value, value["exp"] - 60)


def audited(value: dict[str, Any]) -> None:
    """A line of the audit log has the same fields."""
    log = AuditLog("n_1", "stdout")
    line = log._line(Action(value["action"], value["who"], value["from"], value["what"]), value["result"])
    assert list(json.loads(line)) == list(value)


def handed_over(value: dict[str, Any]) -> None:
    """As in the scenarios of docs/conformance."""
    folder = ROOT / "docs" / "conformance" / "scenarios"
    items = [item for path in folder.glob("*.json") for item in json.loads(path.read_text())["hands_over"]]
    (kind,) = value
    like = [set(item[kind]) if isinstance(item[kind], dict) else None for item in items if kind in item]
    assert (set(value[kind]) if isinstance(value[kind], dict) else None) in like


def told(value: dict[str, Any]) -> None:
    """What a webhook brings."""
    assert set(value) == BODIES_OF_WEBHOOKS
    epoch = value["event"].pop("epoch")
    assert value["id"] == f"{value['channel']}/{epoch}:{value['event']['offset']}"
    frame({"id": "e_1", "time": 1, **value["event"]})


def looked_at(value: dict[str, Any]) -> None:
    """By what it is."""
    if "sub" in value:
        token(value)
    elif "title" in value:
        answer("Problem", value)
    elif "action" in value:
        audited(value)
    elif value.get("type") == "event":
        told(value)
    elif "type" in value:
        frame(value)
    elif "event_id" in value:
        answer("Published", value)
    else:
        handed_over(value)


@pytest.mark.parametrize("block", JSON, ids=str)
def test_json_is_what_the_hub_says_or_takes(block: Block) -> None:
    decoder, text, at = json.JSONDecoder(), block.text.strip(), 0
    while at < len(text):  # one object, or a line for each
        value, end = decoder.raw_decode(text, at)
        looked_at(value)
        at = end + len(text[end:]) - len(text[end:].lstrip())


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"hub.welcom"}',
        '{"type":"job_status","ofset":1}',
        '{"sub":"ann","exp":1767225600,"hub":{"subscrbe":["job:*"]}}',
        '{"channel":"job:1","epoch":"k","ofset":1,"event_id":"e"}',
    ],
)
def test_a_slip_is_red(text: str) -> None:
    with pytest.raises((AssertionError, KeyError)):
        looked_at(json.loads(text))


# Settings and configuration


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [each for each in os.environ if each.startswith("HUB_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("block", TOML, ids=str)
def test_toml_is_settings(block: Block) -> None:
    found = tomllib.loads(block.text.replace("whsec_…", WHSEC))
    if block.file == "pyproject.toml":
        (points,) = found["project"]["entry-points"].values()
        plugin = (ROOT / "docs" / "examples" / "plugin" / "pyproject.toml").read_text()
        for name, value in points.items():
            assert f'{name} = "{value}"' in plugin
            assert EntryPoint(name, value, "hub.plugins").attr
    else:
        Settings(**{"jwt_secret": "x" * 32, **found})


@pytest.mark.parametrize("block", YAML, ids=str)
def test_a_manifest_names_settings_and_routes(block: Block) -> None:
    deployment, service = yaml.safe_load_all(block.text)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each["value"] for each in container["env"]}
    assert unknown_variables(environment) == []
    for name, value in environment.items():
        field = name.removeprefix("HUB_").lower()
        Settings(**{field: json.loads(value) if value.startswith("[") else value})
    routes = document("/ws")["paths"]
    for probe in ("livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["path"] in routes
        assert container[probe]["httpGet"]["port"] == Settings(jwt_secret="x" * 32).port
    (port,) = service["spec"]["ports"]
    assert {"containerPort": port["targetPort"]} in container["ports"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"] == labels


@pytest.mark.parametrize("block", HAPROXY, ids=str)
def test_haproxy_reads_it(block: Block, tmp_path: Path) -> None:
    haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/bin")
    assert haproxy is not None
    times = "timeout connect 5s\n timeout client 5s\n timeout server 5s"
    file = tmp_path / "haproxy.cfg"
    front = "frontend f\n bind 127.0.0.1:8080\n default_backend hub"
    file.write_text(f"defaults\n mode http\n {times}\n{front}\n{block.text}")
    done = subprocess.run([haproxy, "-c", "-f", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# What is logged


def test_the_line_that_a_person_reads_when_the_hub_is_away(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "hub.publisher")
    port = free_port()
    hub = SyncPublisher(f"http://127.0.0.1:{port}", api_key="k" * 16, exit_timeout=0)
    try:
        hub.publish_nowait("job:1", "n", 1)
        deadline = time.monotonic() + 20 * SCALE
        while not caplog.records and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        hub.close(timeout=0)
    record = caplog.records[0]
    said = f"{record.levelname} {record.name}: {record.getMessage()}".replace(f"127.0.0.1:{port}", "hub:8000")
    assert _shape(said) == _shape(LOG.text.strip().rstrip("…"))


def _shape(line: str) -> str:
    return re.sub(r"\d+(\.\d+)?", "<n>", line)

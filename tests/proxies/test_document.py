"""The document for the other side is one, and what a hub asks and understands fits it."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate

from .test_hub import decide

DOCUMENT: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "docs" / "proxies.openapi.json").read_text()
)

WHO = {"user": "ann", "connection": "c_1", "address": "10.0.0.1", "service": False, "info": None}
QUESTIONS: list[dict[str, Any]] = [
    {"event": "connect", **WHO, "channels": ["user:ann"], "renewal": False},
    {"event": "subscribe", **WHO, "channel": "doc:closed", "presence": True, "since": "k3f9:7"},
    {"event": "publish", "channel": "doc:7", "type": "said", "payload": 1, "user": None, "publisher": "svc"},
    {"event": "call", **WHO, "method": "rename", "payload": {"name": "x"}},
]


def check(name: str, value: Any) -> None:
    schema = {**DOCUMENT["components"]["schemas"][name], "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema).validate(value)


def test_it_is_a_document() -> None:
    validate(DOCUMENT)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda each: each["event"])
def test_questions_and_answers_fit_it(question: dict[str, Any]) -> None:
    kind = question["event"].title()
    check(f"{kind}Question", question)
    check(f"{kind}Answer", decide(question))
    with pytest.raises(jsonschema.ValidationError):
        check(f"{kind}Answer", {"refuse": "no reason"})

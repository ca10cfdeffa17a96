"""What `hub check` says of settings that are wrong: where, in words, and no secret."""

from typing import Any

import pytest

from hub.assembly import problems
from hub.settings import Settings

from .conftest import DAPR, hook


def said(**changes: Any) -> str:
    return "\n".join(problems(Settings(jwt_secret="x" * 32, **changes)))


def test_what_is_right_says_nothing() -> None:
    assert said(hooks=[hook("a", "github")], cloudevents={}, dapr=DAPR) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hooks": [hook("a", "hmac")]}, "hooks[0]: a hook of kind hmac needs header"),
        ({"hooks": [hook("a", "github", secrets=["short-one"])]}, "too short"),
        ({"hooks": [hook("a", "standard", secrets=["whsec_no base64!"])]}, "whsec_ and base64"),
        ({"hooks": [hook("a", "github"), hook("a", "slack")]}, "two have one name"),
        ({"hooks": [hook("a", "github", channel="job:{")]}, "a brace stands alone"),
        ({"hooks": [hook("a", "github", filter="[[[")]}, "no jmespath expression"),
        ({"hooks": [hook("a", "other")]}, "hooks[0].kind"),
        ({"cloudevents": {"chanel": "x"}}, "cloudevents.chanel"),
        ({"dapr": {**DAPR, "token": "short-one"}}, "dapr.token"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], words: str) -> None:
    found = said(**changes)
    assert words in found
    assert "short-one" not in found

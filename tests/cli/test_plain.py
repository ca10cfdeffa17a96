"""What came from elsewhere does nothing at the operator's terminal."""

import pytest

from hub.cli.inspect import report
from hub.cli.plain import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("user ann", "user ann"),
        ("Zoë 🦊", "Zoë 🦊"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("a\r\nroot", "a\\r\\nroot"),
        ("\u202etxt.exe", "\\u202etxt.exe"),
    ],
)
def test_what_a_terminal_would_act_upon_is_an_escape(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_inspect_shows_a_name_that_holds_a_sequence() -> None:
    connection = {
        "connection": "c_1", "user": "\x1b[2Jroot", "address": "::1", "encoding": "json", "node": "n_1",
        "age_s": 1, "silent_s": 1, "outbox": {"entries": 0, "blocked": False}, "last_error": "\x1b[31m",
        "channels": {},
    }  # fmt: skip
    lines = [plain(line) for line in report({"connections": [connection], "complete": True}, {})]
    assert "\\x1b[2Jroot" in "".join(lines)
    assert "\x1b" not in "".join(lines)
